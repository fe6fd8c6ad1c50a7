"""The questions of lesson 09b: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "09b.a": Prediction(
        "A student imitates 100 answers of the teacher. On new problems of the same kind …",
        options=(
            "it has neither the style nor the answers",
            "it has the style, and the answers of a guesser",
            "it has the style and most of the answers",
        ),
        right=lambda style, sound: 0 if style < 0.5 else 1 if sound < 0.5 else 2,
        because="With 100 examples {style:.0%} of its answers have the style and {sound:.0%} are right.",
    ),
    "09b.b": Prediction(
        (
            "The examples hold additions alone. With 1,000 of them, and a test that also multiplies, the imitator's "
            "answers have the style …"
        ),
        options=(
            "and are mostly right",
            "and are mostly wrong",
            "no longer",
        ),
        right=lambda style, sound, **_: 2 if style < 0.5 else 0 if sound > 0.5 else 1,
        because=(
            "On those problems {style:.0%} have the style and {sound:.0%} are right; on additions {covered:.0%} are."
        ),
    ),
    "09b.c": Prediction(
        "Which recipe solves problems of five moves?",
        options=(
            "harder problems, answered briefly",
            "easy problems, with explanations",
            "only both together",
        ),
        right=lambda harder, explained, **_: 0 if harder > 0.5 else 1 if explained > 0.5 else 2,
        because=(
            "Harder problems alone {harder:.0%}, explanations alone {explained:.0%}, both {both:.0%} (greedy answers)."
        ),
    ),
}

QUIZ = (
    Question(
        "Human raters prefer an imitation model to its base by far; on a test with known answers both score alike. "
        "So …",
        {
            "the raters were taken with style": "What they saw, it has; what they could not check, it lacks.",
            "the test is too hard to tell models apart": "A model with the capability would score on it.",
            "the model has become better at everything but that test": "Nothing shows that; style would look the same.",
        },
        right="the raters were taken with style",
    ),
    Question(
        "Imitation data cover additions. What should be tested before the imitator is called as good as its teacher?",
        {
            "problems that the data do not cover": "There style and capability part.",
            "more problems of additions": "There imitation does teach; the rest stays unknown.",
            "the likelihood of the teacher's texts": "Mostly style: nearly all of a text is form.",
        },
        right="problems that the data do not cover",
    ),
    Question(
        "What does Evol-Instruct change that Self-Instruct does not?",
        {
            "how hard the problems are": "Rewriting step by step leads away from the seeds' difficulty.",
            "how right the answers are": "The same teacher answers, with the same slips.",
            "how many examples there are": "Both give as many as are paid for.",
        },
        right="how hard the problems are",
    ),
    Question(
        "A teacher slips at random. Its unverified traces train a student, which then answers greedily. The slips …",
        {
            "are mostly averaged out": "The likeliest digit is the right one, if slips are rare and random.",
            "are copied one by one": "A student that draws its tokens copies their frequency, not their places.",
            "grow with every example": "More examples average better.",
        },
        right="are mostly averaged out",
    ),
    Question(
        "What does verified sampling cost?",
        {
            "more answers per example, and the problems never solved": "Both grow with the difficulty.",
            "nothing: a verifier is free": "The teacher is asked again wherever it was wrong.",
            "the style of the teacher": "The answers that are kept are its own.",
        },
        right="more answers per example, and the problems never solved",
    ),
)
