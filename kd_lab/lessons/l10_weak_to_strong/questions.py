"""The questions of lesson 10: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "10.a": Prediction(
        "One of the three students has read names and has a narrow head, one has read names and has a wide head, one "
        "has read nothing. Which is student 3, which is nearly as good as with true labels?",
        options=("read names, narrow head", "read names, wide head", "read nothing, wide head"),
        right="read names, narrow head",
        because="It is right in {student:.0%} of the texts. It closes {pgr:.0%} of the gap, as a mean of ratios.",
    ),
    "10.b": Prediction(
        "A student disagrees with its labels. When is that a gain?",
        options=(
            "always: the labels are weak",
            "if what it cannot follow is the teacher's error and not the truth",
            "if it has seen enough labels",
        ),
        right="if what it cannot follow is the teacher's error and not the truth",
        because="The untrained model disagrees as much, and its gain is {untrained:+.3f}.",
    ),
    "10.c": Prediction(
        "Two sets of labels are right in 74 of 100 texts. In one, errors fall at random; in the other, every short "
        "text is called a name. Which student surpasses its labels?",
        options=("both", "the first only", "the second only", "neither"),
        right="the first only",
        because="Errors at random: {random:.0%}. Short texts: {biased:.0%}; these errors all point one way.",
    ),
    "10.d": Prediction(
        "The confidence loss trusts the student's own answers more and more. Its teacher is nearly a coin, right in "
        "little more than half of the texts. What does it do over many runs?",
        options=(
            "it helps in all of them",
            "it helps in most, and ruins some",
            "nothing: there is nothing to be sure of",
        ),
        right=lambda below, **_: 1 if below else 0,
        because="It went up in {up} of {runs} runs, and {below} ended below a coin toss.",
    ),
    "10.e": Prediction(
        "A student of 8K weights learns for 600 steps from teachers of 1K to 0.8M weights that have read all names. "
        "With the size of the teacher, its bits per character …",
        options=("fall all the way", "fall, then stay level", "fall, then rise again"),
        right=lambda largest, next: 0 if largest < next - 0.03 else 1 if largest < next + 0.03 else 2,
        because="From the largest teacher it needs {largest:.2f} bits, from the next {next:.2f}.",
    ),
    "10.f": Prediction(
        "A smoother is fitted to its own answers, round after round, and learns nothing new. Its error …",
        options=(
            "stays the same",
            "falls with every round",
            "falls or rises, depending on how smooth the first fit was",
        ),
        right="falls or rises, depending on how smooth the first fit was",
        because="Four more fits took it from {rough:.3f} to {better:.3f} after a rough fit, and from {smooth:.3f} to "
        "{worse:.3f} after a smooth one.",
    ),
}

QUIZ = (
    Question(
        "Teacher 60 %, student 75 %, the same student with true labels 80 %. How large is the PGR?",
        {
            "0.75": "15 points of 20.",
            "0.94": "That is 75 ÷ 80: most of it is the teacher's already.",
            "0.15": "That is the lead; divide it by the lead that true labels give.",
        },
        right="0.75",
    ),
    Question(
        "A student agrees with its weak teacher on every text. What is its PGR?",
        {
            "0": "It makes the teacher's mistakes, all of them.",
            "1": "Agreement with the labels is no accuracy.",
            "unknown": "It has the teacher's accuracy, so nothing of the gap is closed.",
        },
        right="0",
    ),
    Question(
        "What did the confidence loss amplify?",
        {
            "what the student leans to already": "Right or wrong: it has no other source.",
            "the teacher's correct labels": "It cannot tell them from the others.",
            "the size of the step": "Its targets are other ones; the rate is the same.",
        },
        right="what the student leans to already",
    ),
    Question(
        "A larger teacher gave a worse student. What is looked at first?",
        {
            "the teacher's own held-out loss": "A large teacher may have been trained beyond its best.",
            "the student's number of weights": "With good teachers, size alone did no harm here.",
            "the temperature of the loss": "It may matter; a spoilt teacher is spoilt at each temperature.",
        },
        right="the teacher's own held-out loss",
    ),
)
