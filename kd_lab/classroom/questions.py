"""Questions to a learner: `predict` before anything moves, `reveal` after it has, `quiz` at the end.

A question is data: an entry of a lesson's questions.py, which the notebook names by its identifier. So neither the
right option nor the feedback stands in the notebook, and a notebook that was run from top to bottom gives nothing away:
an answer is covered until the learner has committed to one, and shows at once when that happens, now or later.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from kd_lab.classroom import progress
from kd_lab.classroom.panel import TONES, with_code
from kd_lab.classroom.parts import part_of

COLUMN = (
    "<style>.kd-lab-choice > button {height: auto; width: max-content; max-width: 100%; white-space: normal; "
    "text-align: left; line-height: 1.5; padding: 0.2em 0.8em; border-left: 4px solid transparent} "
    ".kd-lab-choice > button.mod-info {border-left-color: currentColor; font-weight: bold}</style>"
)
"""ipywidgets cuts a button's text that is longer than a line. A chosen option is marked by sign, weight and edge."""

COVERED = "Covered until you commit to an answer above."


@dataclass(frozen=True)
class Prediction:
    """A question asked before an experiment, and the sentence that explains what then happens.

    `text` and `because` may hold fields in braces, which the lesson fills with what it measures. Where the experiment
    decides, `right` is the rule by which it does: so not even the rule stands in the notebook.
    """

    text: str
    options: Sequence[str] = ()  # in the order in which they are shown; empty where the lesson computes them
    right: str | Callable[..., str | int] = ""  # an option, or the facts of `reveal` -> an option or its number from 0
    because: str = ""  # one or two sentences of explanation

    def __post_init__(self) -> None:
        if self.options:
            check_options(self.options)
        if isinstance(self.right, str) and self.right and self.options:
            check_right(self.right, self.options)

    def decided(self, options: Sequence[str], facts: Mapping[str, Any]) -> str:
        """The option that turned out right, given what was measured; "" where there is no rule."""
        if isinstance(self.right, str):
            return self.right
        found = self.right(**facts)
        return found if isinstance(found, str) else options[int(found)]


@dataclass(frozen=True)
class Question:
    """A question of a quiz, with one right option and feedback on each."""

    text: str
    options: Mapping[str, str]  # option -> feedback for those who choose it
    right: str  # one of the options

    def __post_init__(self) -> None:
        check_options(list(self.options))
        check_right(self.right, self.options)

    def shuffled(self) -> list[str]:
        """The options in an order that depends on the question alone."""
        return sorted(self.options, key=lambda option: hashlib.sha256(f"{self.text}\n{option}".encode()).digest())


@dataclass
class Asked:
    """A prediction in this session: the options on the page, the place of the answer, and the answer itself."""

    question: str
    options: tuple[str, ...]
    committed: str | None
    answer: widgets.HTML
    right: str | None = None
    because: str = ""

    def follow(self, earlier: "Asked") -> None:
        """Take over the place of the answer, and what was revealed there if it is still one of the options."""
        self.answer = earlier.answer
        if earlier.right in self.options:
            self.right, self.because = earlier.right, earlier.because
        self.settle()

    def settle(self) -> str:
        """Show what happened as soon as there is both a commitment and a result; return it as plain text."""
        if self.right is None or self.committed is None:
            self.answer.value = status(COVERED, "plain")
            return COVERED
        right = self.committed == self.right
        said = f"You said “{self.committed}”" + (", and so it is." if right else f". What happened: {self.right}.")
        self.answer.value = status(f"{said} {self.because}".rstrip(), "good" if right else "plain")
        return self.answer.value


@dataclass(frozen=True)
class Form:
    """Widgets, and the text that stands in their place where no kernel runs."""

    widget: widgets.Widget
    text: str = field(default="")

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": self.text}


asked: dict[str, Asked] = {}
"""The predictions of this session by identifier."""


def predict(identifier: str, options: Sequence[str] | None = None, **facts: Any) -> None:
    """Ask for a prediction before anything moves.

    Args:
        identifier: lesson and letter, such as "06.a".
        options: the answers, where the lesson computes them.
        facts: the values of the fields of the question's text.

    Raises:
        ValueError: there is no such prediction, or fewer than two options, or two that are the same.
    """
    entry = find_prediction(identifier)
    shown = tuple(options if options is not None else entry.options)
    check_options(shown)
    text = f"Predict: {entry.text.format(**facts) if facts else entry.text}"
    before = progress.recall(identifier)
    one = Asked(text, shown, before if before in shown else None, widgets.HTML())
    if identifier in asked:  # this cell runs again, and the answer below may be on the page already
        one.follow(asked[identifier])
    asked[identifier] = one

    def commit(option: str) -> tuple[str, str]:
        one.committed = option
        trouble = progress.record(identifier, option)
        one.settle()
        said = f"You said “{option}”." + ("" if one.right is not None else " Go on and see.")
        return f"{said} {trouble}".rstrip(), "attention" if trouble else "plain"

    box = choice(text, shown, "Commit to this answer", commit, chosen=one.committed)
    display(Form(box, as_text(text, shown)))


def reveal(identifier: str, right: str | int | None = None, **facts: Any) -> None:
    """Compare the prediction with what was seen. The answer is covered until the learner has committed to one.

    Args:
        identifier: of the prediction.
        right: the option, or its number from 0, in copies of an earlier edition, which decide it themselves.
        facts: what was measured: the values of the fields of the explanation, and what decides the right option.

    Raises:
        ValueError: the prediction was not asked in this session, or nothing says which of its options is right.
    """
    entry = find_prediction(identifier)
    if identifier not in asked:
        raise ValueError(f"the prediction {identifier!r} was not asked yet; run the cell with predict({identifier!r})")
    one = asked[identifier]
    told = one.options[right] if isinstance(right, int) else right
    one.right = told or entry.decided(one.options, facts) or None
    if one.right is None:
        raise ValueError(
            f"the prediction {identifier!r} has no right option; expected in its entry right= with one of "
            f"{list(one.options)}, or with a function of the facts {sorted(facts)} that gives one or its number"
        )
    check_right(one.right, one.options)
    one.because = entry.because.format(**facts) if facts else entry.because
    one.answer = widgets.HTML()
    one.settle()
    display(Form(widgets.VBox([widgets.HTML(f"<strong>{with_code(one.question)}</strong>"), one.answer]), COVERED))


def quiz(lesson: str) -> None:
    """Ask the questions of a lesson's quiz, with feedback on each option.

    Args:
        lesson: its number, such as "06".
    """
    questions: Sequence[Question] = questions_of(lesson).QUIZ
    boxes, texts = [], []
    for number, question in enumerate(questions, 1):
        identifier = f"{lesson}.quiz.{number}"

        def answer(option: str, question: Question = question, identifier: str = identifier) -> tuple[str, str]:
            trouble = progress.record(identifier, option)
            return f"{question.options[option]} {trouble}".rstrip(), "good" if option == question.right else "attention"

        options, before = question.shuffled(), progress.recall(identifier)
        title = f"Question {number} of {len(questions)}. {question.text}"
        chosen = before if before in options else None
        boxes.append(choice(title, options, f"Check answer {number}", answer, chosen=chosen))
        texts.append(as_text(title, options))
    display(Form(widgets.VBox(boxes), "\n\n".join(texts)))


def questions_of(lesson: str) -> Any:
    """The module of a lesson's questions, with `PREDICTIONS` and `QUIZ`.

    Raises:
        ValueError: there is no lesson of this number, or it has no questions.
    """
    module = part_of(lesson, "questions")
    if module is None:
        raise ValueError(f"there is no lesson {lesson!r}; questions stand in kd_lab/lessons/lNN_name/questions.py")
    return module


def find_prediction(identifier: str) -> Prediction:
    """The prediction "06.a" of kd_lab/lessons/l06_…/questions.py.

    Raises:
        ValueError: the lesson has no such prediction.
    """
    predictions: Mapping[str, Prediction] = questions_of(identifier.partition(".")[0]).PREDICTIONS
    if identifier not in predictions:
        raise ValueError(f"there is no prediction {identifier!r}; the lesson has {', '.join(sorted(predictions))}")
    return predictions[identifier]


def check_options(options: Sequence[str]) -> None:
    if len(options) < 2 or len(set(options)) < len(options):
        raise ValueError(f"the options are {list(options)}; expected at least two, each different from the others")


def check_right(right: str, options: Sequence[str] | Mapping[str, str]) -> None:
    if right not in options:
        raise ValueError(f"the right answer {right!r} is none of the options {list(options)}; copy it from there")


def choice(
    title: str,
    options: Sequence[str],
    action: str,
    respond: Callable[[str], tuple[str, str]],
    chosen: str | None = None,
) -> widgets.VBox:
    """A question with one button per option, a button to commit, and a place for the response.

    No radio buttons: in JupyterLab the notebook takes the arrow keys that go from one to the next. The chosen option
    says so in its name, which a screen reader reads.

    Args:
        title: the question.
        options: the answers.
        action: the name of the button that commits; it should differ from question to question.
        respond: from an option to what is said to it, and in which tone.
        chosen: the option that is selected at first.
    """
    state = {"chosen": chosen}
    buttons = [widgets.Button(tooltip=f"An answer to: {title}") for _ in options]

    def mark() -> None:
        for button, option in zip(buttons, options, strict=True):
            selected = option == state["chosen"]
            button.description = f"{'● Chosen:' if selected else '○'} {option}"
            button.button_style = "info" if selected else ""

    def choose(option: str) -> Callable[[widgets.Button], None]:
        def pressed(_: widgets.Button) -> None:
            state["chosen"] = option
            mark()

        return pressed

    for button, option in zip(buttons, options, strict=True):
        button.on_click(choose(option))
    mark()
    answers = widgets.VBox(buttons)
    answers.add_class("kd-lab-choice")
    button = widgets.Button(
        description=action, tooltip=action, button_style="primary", layout=widgets.Layout(width="max-content")
    )
    response = widgets.HTML()

    def press(_: widgets.Button) -> None:
        option = state["chosen"]
        text, tone = respond(option) if option is not None else ("Choose an answer first.", "plain")
        response.value = status(text, tone)

    button.on_click(press)
    return widgets.VBox([widgets.HTML(f"{COLUMN}<strong>{with_code(title)}</strong>"), answers, button, response])


def status(text: str, tone: str) -> str:
    """A response that screen readers announce."""
    style = f"border-left: 4px solid {TONES[tone]}; padding-left: 0.9em"
    return f'<div role="status" style="{style}">{with_code(text)}</div>'


def as_text(title: str, options: Sequence[str]) -> str:
    return "\n".join([title, *(f"  ○ {option}" for option in options), "Run this cell to answer."])
