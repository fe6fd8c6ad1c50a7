"""The questions of lesson 11b: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "11b.a": Prediction(
        "The exact teacher, eight modes on a circle, goes from noise to data in a single step. Where does it land?",
        options=(
            "on the eight modes, a little blurred",
            "all round the circle, between the modes too",
            "all at one point in the middle of the circle",
        ),
        right="all at one point in the middle of the circle",
        because=(
            "From pure noise the best guess of the data is their mean. The energy distance is {one:.2f} with one step "
            "and {many:.4f} with 32."
        ),
    ),
    "11b.b": Prediction(
        "Another student skips the halvings. Squared error trains it to jump from noise to the end of the teacher's 32 "
        "steps, with the same number of updates. Its energy distance at one step is …",
        options=(
            "like plain sampling's: it lands in the middle",
            "several times that of progressive distillation",
            "about that of progressive distillation, or less",
        ),
        right=lambda straight, halved, **_: 0 if straight > 1 else 1 if straight > 2 * halved else 2,
        because="Straight {straight:.4f}, by halving {halved:.4f}; exact samples score within about {noise:.4f} of 0.",
    ),
    "11b.c": Prediction(
        "A consistency model jumps from noise to data. Then fresh noise of half the time is added and it jumps once "
        "more. Samples that lie between the modes become …",
        options=("fewer", "as many as before", "more, because the second noise undoes the first jump"),
        right=lambda one, two, four: 0 if two < one - 0.005 else 2 if two > one + 0.005 else 1,
        because="{one:.1%} lie there after one jump, {two:.1%} after two, and {four:.1%} after four.",
    ),
    "11b.d": Prediction(
        "Distribution matching follows the gradient of reverse KL, and the student begins on one of the eight modes. "
        "Noise of all levels is used. How many modes does it end with?",
        options=("one, as in lesson 03", "one and its two neighbours", "all eight"),
        right=lambda kept, low: 2 if kept > 5.5 else 1 if kept > 1.5 else 0,
        because="Over the runs it kept {kept:.1f} of 8 modes on average; with little noise only, {low:.1f}.",
    ),
}

QUIZ = (
    Question(
        "Why does a diffusion model that is perfect at every noise level make bad samples in one step?",
        {
            "its answer to pure noise is the mean of the data": (
                "A velocity is a conditional mean. It is exact as a direction and useless as an end point."
            ),
            "its network is too small to map noise to data": (
                "The same network does it after distillation; and here the teacher is exact."
            ),
            "one step of DDIM is not deterministic": "It is: the same noise gives the same point.",
        },
        right="its answer to pure noise is the mean of the data",
    ),
    Question(
        "Squared error trains a student to land where two of its teacher's steps do. Why is that not the mean of the "
        "data again?",
        {
            "because noise and end point belong together one to one": (
                "The ODE gives every noise its own end. The mean over a single value is that value."
            ),
            "because squared error prefers a mode to a mean": "It is the other way round: squared error seeks means.",
            "because the student has more layers": (
                "Its layers stay the same, and with more of them the mean of many values would still be a mean."
            ),
        },
        right="because noise and end point belong together one to one",
    ),
    Question(
        "In consistency distillation the label is the student's own answer. What keeps it from becoming a constant?",
        {
            "at time 0 its answer is the input itself": (
                "This end is fixed, and each interval hands it on to the next. Without it, a constant has no loss."
            ),
            "the running average of its weights": "It makes the labels move slowly. A constant would satisfy them.",
            "the teacher gives the label as well": (
                "The teacher only makes the neighbour; the answer there is the student's."
            ),
        },
        right="at time 0 its answer is the input itself",
    ),
    Question(
        "Distribution matching has kept only the heavy mode of a teacher with weights 10 : 1 : 1 : 1. What helps?",
        {
            "to give high noise more weight, or to add a loss on the teacher's samples": (
                "With much noise the modes run together; and the teacher's samples show all of them."
            ),
            "to compare the distributions with less noise, where the scores are sharper": (
                "Then a sample feels even less of modes that are far away, and more time does not help either."
            ),
            "to estimate the fake score better": "In our cloud of particles it was exact, and the modes were lost.",
        },
        right="to give high noise more weight, or to add a loss on the teacher's samples",
    ),
)
