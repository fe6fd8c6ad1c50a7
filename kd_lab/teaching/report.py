"""`kd-lab class report`: a table for the teacher, and a page of pictures that can be shown to the class.

The page names nobody unless it is asked to. It is one file, and nothing in it is fetched from anywhere.
"""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kd_lab.models.saved import write_file
from kd_lab.teaching.submissions import (
    STATES,
    Submission,
    counted_mistakes,
    counted_states,
    is_graded,
    not_read,
    options_of,
    read_all,
)

COLOURS = {"right": "#1b7837", "partly right": "#7fbf7b", "not there yet": "#b35806", "not started": "#cccccc"}
HATCHES = {"right": "", "partly right": "///", "not there yet": "...", "not started": ""}
STYLE = (
    "body {font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em} img {max-width: 100%} "
    "table {border-collapse: collapse; margin: 1em 0} td, th {padding: 0.2em 0.8em; text-align: left; "
    "border-bottom: 1px solid #ccc} td.n {text-align: right}"
)

GRADED = "States as graded; answers and earlier mistakes from submitted/."
AS_LAST_RUN = "States as each student last ran the cells, not as graded."


def report(submitted: Path, page: Path, names: bool = False) -> str:
    """Read submissions, write the page, and return the table as text, with names: it stays in the terminal.

    Args:
        submitted: nbgrader's folder submitted/, or autograded/ for the states as graded.
        page: the file to write.
        names: whether the page names students as well.

    Raises:
        ValueError: there are no submissions.
    """
    submissions, basis = read_all(submitted), GRADED if is_graded(submitted) else AS_LAST_RUN
    write_file(page, page_of(submissions, names, basis).encode())
    said = "with names: keep it to yourself" if names else "without a name"
    lines = [table(submissions), "", *not_read(submitted), basis, f"{page.resolve()}  pictures, {said}"]
    return "\n".join(lines)


def identifiers(submissions: Sequence[Submission]) -> list[str]:
    return sorted({identifier for one in submissions for identifier in one.states})


def table(submissions: Sequence[Submission]) -> str:
    """Exercise by exercise: how many, who, and which mistakes."""
    lines = []
    for identifier in identifiers(submissions):
        states = counted_states(submissions, identifier)
        counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
        lines.append(f"{identifier}  {counts}")
        solved = [one.student for one in submissions if one.states.get(identifier) == "right"]
        lines.append(f"       solved by: {', '.join(solved) or 'nobody'}")
        lines += [
            f"       {count:3} × {name}" for name, count in counted_mistakes(submissions, identifier).most_common()
        ]
    return "\n".join(lines)


# ---- the page --------------------------------------------------------------------------------------------------------


def page_of(submissions: Sequence[Submission], names: bool, basis: str) -> str:
    """The page as HTML; `basis` says where its states come from."""
    lessons = sorted({one.lesson for one in submissions})
    students = len({one.student for one in submissions})
    said = f"{students} students, lessons {', '.join(lessons)}. {basis}"
    parts = [f"<h1>Exercises and misconceptions</h1><p>{said}</p>"]
    parts.append(picture(states_figure(submissions), states_in_words(submissions)))
    for identifier in identifiers(submissions):
        if mistakes := counted_mistakes(submissions, identifier):
            parts.append(f"<h2>{identifier}: which misconceptions occurred</h2>")
            words = "; ".join(f"{name}: {count}" for name, count in mistakes.most_common())
            parts.append(picture(mistakes_figure(mistakes.most_common()), words))
    for lesson in lessons:
        parts.append(answers_table([one for one in submissions if one.lesson == lesson], lesson))
    if names:
        parts.append(names_table(submissions))
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>Exercises and misconceptions</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def states_figure(submissions: Sequence[Submission]) -> Figure:
    """A bar for each exercise, divided by state."""
    rows = identifiers(submissions)
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    left = [0] * len(rows)
    for state in STATES:
        widths = [counted_states(submissions, row)[state] for row in rows]
        look = {"color": COLOURS[state], "hatch": HATCHES[state], "edgecolor": "white"}
        axes.barh(rows, widths, left=left, label=state, **look)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="students", ylabel="exercise")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=len(STATES))
    return figure


def states_in_words(submissions: Sequence[Submission]) -> str:
    parts = []
    for identifier in identifiers(submissions):
        states = counted_states(submissions, identifier)
        parts.append(f"{identifier}: " + ", ".join(f"{states[state]} {state}" for state in STATES if states[state]))
    return "; ".join(parts)


def mistakes_figure(mistakes: Sequence[tuple[str, int]]) -> Figure:
    """A bar for each misconception of an exercise."""
    figure = Figure(figsize=(8, 0.9 + 0.35 * len(mistakes)), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in mistakes], [count for _, count in mistakes], color=COLOURS["not there yet"])
    axes.invert_yaxis()
    axes.set(xlabel="students")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def picture(figure: Figure, words: str) -> str:
    """A figure inside the page, with its content in words for those who do not see it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<p><img alt="{html.escape(words)}" src="data:image/png;base64,{data}"></p>'


def answers_table(submissions: Sequence[Submission], lesson: str) -> str:
    """The number of students behind each option of a prediction or question."""
    rows = []
    for question, options in options_of(lesson).items():
        chosen = [one.answers[question] for one in submissions if question in one.answers]
        counts = "; ".join(f"{html.escape(option)}: {chosen.count(option)}" for option in options)
        if chosen:
            rows.append(f"<tr><td>{question}</td><td>{counts}</td></tr>")
    if not rows:
        return ""
    return f"<h2>Lesson {lesson}: predictions and quiz</h2><table>{''.join(rows)}</table>"


def names_table(submissions: Sequence[Submission]) -> str:
    head = "".join(f"<th>{identifier}</th>" for identifier in identifiers(submissions))
    rows = []
    for student in sorted({one.student for one in submissions}):
        own = {key: state for one in submissions if one.student == student for key, state in one.states.items()}
        cells = "".join(f"<td>{own.get(identifier, '')}</td>" for identifier in identifiers(submissions))
        rows.append(f"<tr><td>{html.escape(student)}</td>{cells}</tr>")
    return f"<h2>By student</h2><table><tr><th>student</th>{head}</tr>{''.join(rows)}</table>"
