"""The pages of the pack as HTML: plan, questions, solutions, rubrics, syllabi, projects. Nothing in them is fetched."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from kd_lab.classroom.lesson import Lesson
from kd_lab.classroom.minutes import minutes_of, minutes_on_card
from kd_lab.classroom.panel import with_code
from kd_lab.classroom.questions import Question, questions_of
from kd_lab.teaching.notes import Notes, Route
from kd_lab.teaching.projects import Project
from kd_lab.teaching.syllabi import Week

SITE = Path(__file__).parent / "site"
A4 = "@page { size: A4; margin: 12mm 15mm; }"


def formula(source: str, options: Mapping[str, bool]) -> str:
    """A formula between the marks that MathJax looks for."""
    left, right = ("\\[", "\\]") if options["display_mode"] else ("\\(", "\\)")
    return left + html.escape(source.strip()) + right


@cache
def reader() -> MarkdownIt:
    """Markdown as lessons write it: tables, formulas between dollars, a few tags."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin, renderer=formula)


def markdown(text: str) -> str:
    return reader().render(text)


def line(text: str) -> str:
    """Markdown of one line, without a paragraph around it."""
    return reader().renderInline(text)


def document(title: str, body: str, up: str, page: str = A4, kind: str = "", script: str = "") -> str:
    """A whole HTML file.

    Args:
        title: of the window.
        body: HTML.
        up: the way from this file to the folder of the pack, such as "../".
        page: CSS for paper.
        kind: a class of the body.
        script: JavaScript.
    """
    mathematics = ""
    if "\\(" in body or "\\[" in body:
        mathematics = (
            '<script>window.MathJax = {tex: {inlineMath: [["\\\\(", "\\\\)"]]}, options: {enableMenu: false}}</script>'
            f'<script defer src="{up}_static/mathjax/tex-chtml.js"></script>'
        )
    style = f"{(SITE / 'teaching.css').read_text(encoding='utf-8')}\n{page}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style>{mathematics}</head>"
        f'<body class="{kind}">{body}{f"<script>{script}</script>" if script else ""}</body></html>\n'
    )


def bullets(lines: Iterable[str], tag: str = "ul") -> str:
    return f"<{tag}>{''.join(f'<li>{one}</li>' for one in lines)}</{tag}>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML cells."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def cost(lesson: Lesson) -> str:
    """The cost of a lesson: minutes alone and in parts, and how long a class waits for its cells.

    The minutes are those on its card and of its parts, the seconds those of its last build.
    """
    parts, measured = minutes_of(lesson), lesson.measured
    waits = f"; its cells run {measured['seconds']:.0f} s in all" if measured else ""
    return (
        f"Alone it takes {' + '.join(map(str, minutes_on_card(lesson)))} minutes "
        f"({parts.reading:.0f} reading, {parts.exercises} exercises, {parts.explorers} explorers){waits}."
    )


def route(chosen: Route) -> str:
    passed, rows = 0, []
    for step in chosen.steps:
        rows.append((f"{passed}–{passed + step.minutes}", line(step.what), line(step.where)))
        passed += step.minutes
    steps = table(("minutes", "what", "where"), rows)
    return f"{markdown(chosen.lead)}{steps}<p><strong>Skip:</strong> {line(chosen.skip)}</p>"


def shortened(goal: str) -> str:
    """A goal under a heading that opens its sentence.

    >>> shortened("After this lesson a student can read a curve.")
    'read a curve.'
    """
    return re.sub(r"^After this lesson (?:a student|students|you) can ", "", goal)


def plan(lesson: Lesson, notes: Notes) -> str:
    """The class of 50 minutes on one page, and the two other routes on the next."""
    routes = {one.minutes: one for one in notes.routes}
    said = " ".join(f"“{line(heard)}”" for heard, _ in notes.misconceptions)
    meet = "".join(f"<h3>“{line(heard)}”</h3>{markdown(answer)}" for heard, answer in notes.misconceptions)
    return (
        f'<main class="plan"><h1>{html.escape(notes.title)}</h1><p class="facts">{cost(lesson)} Numbers in brackets '
        f"are those of the cells after Run All.</p>{markdown(notes.about)}"
        f"<h2>After this lesson a student can</h2>{bullets(line(shortened(goal)) for goal in notes.goals)}"
        f"<h2>50 minutes</h2>{route(routes[50])}<h2>Expect to hear</h2><p>{said}</p>"
        f'<h2 class="new-page">10 minutes</h2>{route(routes[10])}<h2>90 minutes</h2>{route(routes[90])}'
        f'<h2 class="new-page">How to meet what students say</h2>{meet}</main>'
    )


def questions(lesson: Lesson, notes: Notes, solved: bool) -> str:
    """The quiz of the lesson and its exam questions, with their solutions or without."""
    quiz: Sequence[Question] = questions_of(lesson.number).QUIZ
    short = "".join(quiz_question(i, one, solved) for i, one in enumerate(quiz, 1))
    long = []
    for i, one in enumerate(notes.exam, 1):
        points = f'<span class="points">{one.points} points</span>'
        answer = f"<p><strong>Solution</strong></p>{markdown(one.solution)}" if solved else ""
        long.append(
            f'<div class="question"><h3>{i}. {line(one.title)}{points}</h3>{markdown(one.question)}{answer}</div>'
        )
    total = sum(one.points for one in notes.exam)
    return (
        f"<main><h1>{html.escape(notes.title)}: {'solutions' if solved else 'questions'}</h1>"
        f"<h2>Exam questions ({total} points)</h2>{''.join(long)}"
        f"<h2>Questions of the quiz, which students have met in the lesson</h2>{short}</main>"
    )


def quiz_question(number: int, one: Question, solved: bool) -> str:
    options = bullets(
        f"{'<strong>' if solved and option == one.right else ''}{with_code(option)}"
        f"{'</strong>' if solved and option == one.right else ''}"
        f"{f' <span class=facts>– {with_code(one.options[option])}</span>' if solved else ''}"
        for option in one.shuffled()
    )
    return f'<div class="question"><h3>Quiz {number}. {with_code(one.text)}</h3>{options}</div>'


def rubrics(notes: Notes) -> str:
    """A marking sheet for each discussion question."""
    sheets = []
    for one in notes.discussions:
        rows = [(str(points), line(what), "") for points, what in one.rubric]
        sheets.append(
            f'<div class="question"><h2>{line(one.question)}<span class="points">{one.points} points</span></h2>'
            f"{table(('points', 'for', 'given'), rows)}<h3>Expected</h3>{markdown(one.expected)}</div>"
        )
    return f"<main><h1>{html.escape(notes.title)}: rubrics</h1>{''.join(sheets)}</main>"


def home_minutes(week: Week, lessons: Mapping[str, Lesson]) -> int:
    """The minutes on the cards of what a week asks for at home: whole lessons, or all but the first sitting."""
    whole = sum(sum(minutes_on_card(lessons[one])) for one in week.at_home)
    return whole + sum(sum(minutes_on_card(lessons[one])[1:]) for one in week.later)


def syllabus(weeks: Sequence[Week], lessons: Mapping[str, Lesson], titles: Mapping[str, str]) -> str:
    """A course week by week, with the minutes that it costs a student.

    Args:
        weeks: the plan.
        lessons: by number.
        titles: of the lessons, by number.
    """
    rows, in_class, at_home = [], 0, 0
    for number, week in enumerate(weeks, 1):
        taught = sum(minutes for _, minutes in week.in_class)
        alone = home_minutes(week, lessons)
        in_class, at_home = in_class + taught, at_home + alone
        rows.append(
            (
                str(number),
                f"<strong>{html.escape(week.theme)}</strong><br>{html.escape(week.note)}",
                "<br>".join(f"{html.escape(titles[one])}: {minutes} min" for one, minutes in week.in_class),
                "<br>".join(
                    [
                        *(html.escape(titles[one]) for one in week.at_home),
                        *(f"{html.escape(titles[one])}: second sitting" for one in week.later),
                    ]
                )
                or "–",
                f"{taught} + {alone}",
            )
        )
    seconds = sum((lessons[one].measured or {}).get("seconds", 0) for week in weeks for one, _ in week.in_class)
    return (
        f"<main><h1>{len(weeks)} weeks</h1><p>One class per week. In all {in_class} minutes in class and {at_home} "
        "minutes alone: lessons at home count with the minutes on their cards, and what is set as homework in a plan "
        f"comes on top. The cells of the lessons taught in class run {seconds / 60:.0f} minutes in all, "
        "on two cores and from an empty cache. Projects to choose from are on "
        '<a href="projects.html">a page of their own</a>.</p>'
        f"{table(('week', 'theme', 'in class', 'at home, after the class', 'minutes, class + home'), rows)}</main>"
    )


PARTS = {
    "question": "Question",
    "uses": "Use",
    "first": "First experiment",
    "control": "Control",
    "null": "A null result",
    "hand_in": "Hand in",
}
"""The parts of a project's brief, as the page names them."""


def projects(briefs: Sequence[Project], titles: Mapping[str, str]) -> str:
    """The briefs on one page.

    Args:
        briefs: of the projects.
        titles: of the lessons, by number.
    """
    shown = []
    for number, one in enumerate(briefs, 1):
        parts = "".join(f"<p><strong>{name}.</strong> {line(getattr(one, field))}</p>" for field, name in PARTS.items())
        after = f'<p class="facts">After {html.escape(titles[one.after])}</p>'
        shown.append(f'<div class="question"><h2>{number}. {line(one.title)}</h2>{after}{parts}</div>')
    return (
        "<main><h1>Projects</h1><p>Each begins with an experiment of minutes on two cores and ends with a claim, its "
        "interval and its control. A null result is worth as much as any other, where the interval excludes every gain "
        "that would matter.</p>"
        f"{''.join(shown)}</main>"
    )
