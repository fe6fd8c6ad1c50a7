"""The questions of lesson 07: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "07.a": Prediction(
        (
            "The student opens with a or b in exactly the teacher's proportions, and goes wrong after b only. What "
            "does token-wise reverse KL do to its first letter?"
        ),
        options=(
            "nothing",
            "it makes a likelier",
            "it makes b likelier",
        ),
        right="nothing",
        because=(
            "At the first position q = p already, and the prefixes are held fixed. What goes wrong after b never "
            "reaches the row of the first letter."
        ),
    ),
    "07.b": Prediction(
        (
            "A student with a row for every prefix, able to equal the teacher. Followed to the end, the token-wise "
            "gradient leaves it …"
        ),
        options=(
            "far from the teacher, like the bigram",
            "at the teacher, as the exact gradient does",
        ),
        right="at the teacher, as the exact gradient does",
        because=(
            "If every conditional can be right at once, it is enough to make each one right: the future return then "
            "averages to zero."
        ),
    ),
    "07.c": Prediction(
        (
            "One text, one estimate. How far does it typically lie from the true gradient, in units of that "
            "gradient's own length?"
        ),
        options=(
            "a tenth",
            "about as far",
            "several times as far",
        ),
        right="several times as far",
        because=(
            "{spread:.1f} times. With N texts it is {spread:.1f}/√N: {texts:.0f} texts for a noise as long as the "
            "gradient itself."
        ),
    ),
    "07.d": Prediction(
        "Single-step decomposition against the plain policy gradient. Its variance is …",
        options=(
            "lower for every student",
            "lower at first, higher near the end of training",
            "the same: only the bias changes",
        ),
        right=lambda late: 1 if late > 1 else 0,
        because=(
            "Near the optimum the return log P/Q is nearly the same for all texts that the student still writes: a low "
            "reward now is made up for later. Replace the reward now by its mean, and the later ones no longer cancel."
        ),
    ),
    "07.e": Prediction(
        (
            "k3 is an unbiased, non-negative estimate of the reverse KL. Minimised on the student's own samples, its "
            "expected gradient is that of …"
        ),
        options=(
            "reverse KL",
            "forward KL",
            "nothing: it is zero",
        ),
        right="forward KL",
        because="Its gradient is (1 − p/q)·∇log q: forward KL's, importance-weighted from the student's samples.",
    ),
    "07.f": Prediction(
        "Which recipe ends with the lowest KL(Q‖P)?",
        options=(
            "word level",
            "on-policy reverse KL, token by token",
            "MiniLLM with its three tamers",
            "an unbiased policy gradient (single step only)",
        ),
        right=lambda ends: ends.index(min(ends)),
        because="Noise averages out over the steps. Bias points the same way at every one of them.",
    ),
}

QUIZ = (
    Question(
        "On-policy distillation with reverse KL at every token. Through what does no gradient flow?",
        {
            "the choice of the tokens": "Yes: it treats the prefixes as data, although the student wrote them.",
            "the teacher": "True of every method here, and not what sets this one apart.",
            "the student's conditionals": "These are exactly what it differentiates.",
        },
        right="the choice of the tokens",
    ),
    Question(
        (
            "You pass −KL(q_t‖p_t), computed over the whole vocabulary, as the advantage of token y_t. In "
            "expectation the student …"
        ),
        {
            "learns nothing at that position": "Yes: it is the same for all tokens of the position, and ∇Σq = 0.",
            "minimises reverse KL": "For that, the number would have to tell a good token from a bad one.",
            "minimises forward KL": "No divergence at all: the expected gradient is zero.",
        },
        right="learns nothing at that position",
    ),
    Question(
        (
            "An estimator has half the variance and a bias of a tenth of the gradient. You average ever more texts. "
            "What wins in the end?"
        ),
        {
            "the unbiased one": "Yes: variance falls as 1/N, the bias stays.",
            "the one with less variance": "Only for small N. For large N its error is nearly all bias.",
            "neither: both are consistent": "The biased one converges too, but to another gradient.",
        },
        right="the unbiased one",
    ),
    Question(
        "From every return you subtract the mean return of the other texts at that position. In fork, this …",
        {
            "lowers the variance and leaves the mean": (
                "Yes: a number that does not depend on y_t drops out of the mean, as ∇Σq = 0."
            ),
            "lowers the variance and adds a bias": (
                "Length normalisation does. What is subtracted here does not depend on y_t."
            ),
            "changes neither: it drops out": "It drops out of the mean only. In a single estimate it is still there.",
        },
        right="lowers the variance and leaves the mean",
    ),
    Question(
        "A training log shows k3 falling towards zero. Which claim is safe?",
        {
            "KL(q‖p) is falling, as measured on samples": (
                "Yes. As a reading k3 is unbiased for reverse KL, whatever the loss was."
            ),
            "reverse KL was minimised": "If k3 was the loss, forward KL was.",
        },
        right="KL(q‖p) is falling, as measured on samples",
    ),
)
