"""Predictions and quiz of lesson 12 as data, so that the notebook gives no answer away."""

from kd_lab.classroom.questions import Prediction, Question


def nearest_under_both(forward: str, reverse: str) -> int:
    """The number of the option for methods that share the first place under both judges, or that of "none".

    Args:
        forward, reverse: the names of the methods in first place, with commas between them.
    """
    both = set(forward.split(", ")) & set(reverse.split(", "))
    return 0 if "GKD" in both else 1 if "on-policy" in both else 2


PREDICTIONS = {
    "12.a": Prediction(
        "Fourteen methods, one world, one budget, five beginnings. Which one is nearest to the teacher under both "
        "judges?",
        (
            "GKD with JSD and λ = ½",
            "on-policy reverse KL",
            "none: each judge has a favourite of its own",
        ),
        right=lambda forward, reverse: nearest_under_both(forward, reverse),
        because="First under KL(P‖Q): {forward}. First under KL(Q‖P), not to be told apart: {reverse}.",
    ),
    "12.b": Prediction(
        "Some sums add *and* multiply, which neither expert has practised since it left their common base. Which of "
        "these solves most of them?",
        (
            "the better of the two experts",
            "the average of the experts' weights",
            "the student of both experts, each asked for its own domain",
        ),
        right=lambda **solved: list(solved.values()).index(max(solved.values())),  # in the order of the options
        because="They solve {expert:.0%}, {average:.0%} and {routed:.0%}.",
    ),
    "12.c": Prediction(
        "The control: the teacher reads the solution of *another* problem. Afterwards the student solves …",
        (
            "as many problems as before",
            "more than before, but fewer than with its own solution",
            "about one in ten or fewer, as by guessing",
        ),
        right=lambda other, before, **_: 2 if other < 0.2 else 1 if other - before > 0.05 else 0,
        because="It solves {other:.0%}, after {before:.0%} before, and {own:.0%} with the problem's own solution.",
    ),
    "12.d": Prediction(
        "A student has all the teacher's probabilities, in reverse order. What does the loss of sorted "
        "probabilities say?",
        (
            "0: there is nothing to learn",
            "the same as KL(p‖q), up to a factor",
            "it is larger the more tokens are exchanged",
        ),
        right="0: there is nothing to learn",
        because="By rank the two lists are one list; KL(p‖q) is {kl:.2f} nats.",
    ),
}

QUIZ = (
    Question(
        "A table of methods shows one score per method. Which two columns does it lack?",
        {
            "a second judge, and an interval": "Without them nobody knows whether the order is one of methods at all.",
            "the learning rate and the batch size": "They belong to the budget, which is one for all rows.",
            "the loss at the end of training": "Losses of different methods have different units.",
        },
        right="a second judge, and an interval",
    ),
    Question(
        "Why does the library refuse tokens × likelihood × the student's texts?",
        {
            "the likelihood of own tokens is infinite": "It is finite: the student has just drawn them.",
            "nobody but the student has a say in it": (
                "Its own tokens teach it what it says already. Somebody else has to judge them, or to write."
            ),
            "it would be too slow": "It is as fast as its neighbours; speed is no reason for a ValueError.",
        },
        right="nobody but the student has a say in it",
    ),
    Question(
        "A teacher that is the student itself, with the solution in view, helps. How do you show that the solution "
        "does it?",
        {
            "train longer": "Longer training changes both, the method and the doubt.",
            "give it another problem's solution": "All else is then equal: a hint of the same form, and as many steps.",
            "compare with a larger teacher": "A larger teacher differs in more than the solution.",
        },
        right="give it another problem's solution",
    ),
    Question(
        "Teacher and student have different tokens. Which loss has the right optimum?",
        {
            "sorted probabilities": "Every reordering of the teacher's probabilities is an optimum of this one.",
            "forward KL to the teacher's exact letter probabilities": "It is 0 only where the student says what the "
            "teacher says.",
            "KL between the first V tokens of both lists": "Token number 7 of one is not token number 7 of the other.",
        },
        right="forward KL to the teacher's exact letter probabilities",
    ),
    Question(
        "Two entries of a tournament began with the same five students. When do they share a place?",
        {
            "when their intervals overlap": "Much of these intervals is common to both, and says nothing about the "
            "difference.",
            "when the interval of their difference holds 0": "Seed by seed, what is common to both cancels.",
            "when their means differ by less than 0.1": "How much is little depends on how sure the means are.",
        },
        right="when the interval of their difference holds 0",
    ),
)
