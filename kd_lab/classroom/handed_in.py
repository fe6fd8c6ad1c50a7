"""The last cell of a graded class's notebook: what a learner answered, for the teacher who collects it."""

from kd_lab.classroom import progress
from kd_lab.classroom.panel import Panel, show

ANSWERS_MIME = "application/vnd.kd-lab.answers+json"
"""The output in which a notebook carries a learner's answers: {"lesson": "03", "answers": …, "mistakes": …}."""


def hand_in(lesson: str) -> None:
    """Show a learner's predictions, answers to the quiz, and the mistakes that the checks have named on the way.

    What is shown is all that is carried: no name, and no time.

    Args:
        lesson: its number, such as "03".
    """
    own = {key: value for key, value in progress.answers().items() if key.startswith(f"{lesson}.")}
    answers = {key: value for key, value in sorted(own.items()) if key.count(".") == 2 or key[-1].isalpha()}
    answers = {key: value for key, value in answers.items() if not key.endswith((".solution", ".mistakes"))}
    mistakes = {
        key.removesuffix(".mistakes"): progress.names_in(value)
        for key, value in sorted(own.items())
        if key.endswith(".mistakes")
    }
    lines = [f"{key}: {value}" for key, value in answers.items()]
    lines += [f"{key}, mistakes on the way: {', '.join(names)}" for key, names in mistakes.items()]
    data = {"lesson": lesson, "answers": answers, "mistakes": mistakes}
    heading = f"Lesson {lesson}: {len(answers)} answers to hand in" if answers else f"Lesson {lesson}: no answers yet"
    show(Panel(heading, ("Save the notebook, and submit it.",), lines, data={ANSWERS_MIME: data}))
