"""The questions of lesson 03: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "03.a": Prediction(
        "The teacher's second mode moves away. What does the student trained with forward KL do?",
        options=(
            "it stretches over both modes",
            "it stays with one mode",
            "it stops halfway",
        ),
        right="it stretches over both modes",
        because="Wherever p is large, a small q is costly; the price of leaving out a mode has no bound.",
    ),
    "03.b": Prediction(
        "And the student trained with reverse KL?",
        options=(
            "it stretches over both modes",
            "it covers both at first, then lets one go",
            "it stays with one mode from the start",
        ),
        right="it covers both at first, then lets one go",
        because=(
            "Beyond a certain distance covering the valley costs more than ln 2 nats, the price of saying only half of "
            "what the teacher says."
        ),
    ),
    "03.c": Prediction(
        "Reverse KL is minimised from random starts; the two modes weigh the same. Where do the students end?",
        options=(
            "all on the same one of the two modes",
            "some on each mode, none in the middle",
            "all in the middle, wide, on neither mode",
            "some on each mode, a few in the middle",
        ),
        right=lambda over_both, **_: 3 if over_both else 1,
        because=(
            "Of {students} students {on_left} ended on the left mode, {on_right} on the right one and {over_both} at "
            "a wide local optimum over both, which costs {wide_cost:.2f} nats instead of {narrow_cost:.2f}."
        ),
    ),
    "03.d": Prediction(
        "Two softmax students of rank 2. Which one gives more probability to what the teacher finds implausible?",
        options=(
            "the one trained with forward KL",
            "the one trained with reverse KL",
            "both give them the same",
        ),
        right=lambda masses: 0 if masses[0] > masses[1] else 1,
        because="Under forward KL it is cheaper to say what is implausible than to miss what is plausible.",
    ),
}

QUIZ = (
    Question(
        "The teacher gives a token 0.3 and the student gives it 10⁻⁹. Which divergence complains?",
        {
            "forward KL": "The weight is p = 0.3 and log(p/q) is about 20.",
            "reverse KL": "Its weight is q, and 10⁻⁹ times anything here is nothing.",
            "both of them": "Only one has the teacher's probability in front of the logarithm.",
        },
        right="forward KL",
    ),
    Question(
        "kl_div(input=a, target=b) of torch, both log-probabilities with log_target=True, is …",
        {
            "KL(b‖a)": "The second argument weighs the terms, so forward KL needs the student first.",
            "KL(a‖b)": "The order of the arguments is not the order in KL( · ‖ · ): the target weighs the terms.",
            "−Σ eᵇ·a, a cross-entropy": "kl_div adds the target's own Σ eᵇ·b, so that it is 0 where b = a.",
        },
        right="KL(b‖a)",
    ),
    Question(
        (
            "A student writes only what its teacher might write, but a third of the repertoire is missing. Most likely "
            "it was …"
        ),
        {
            "trained with forward KL": "Forward KL pays for each sentence that is missing.",
            "trained with reverse KL": "Where it says nothing it pays nothing, so it could drop that third.",
            "trained for too short a time": "As a rule it would then also write what the teacher does not.",
        },
        right="trained with reverse KL",
    ),
    Question(
        "Student and teacher have the same architecture and the student is trained long enough. Forward or reverse?",
        {
            "it hardly matters": "Both are zero only at q = p, which is within reach. They differ in the path to it.",
            "forward, or it drops modes": "Only a student that cannot hold all modes has to drop some.",
            "reverse, or it hedges": "Only a student that cannot leave the valley empty has to fill it.",
        },
        right="it hardly matters",
    ),
)
