"""Questions to a learner: `predict` before anything moves, `quiz` at the end. A notebook runs on without an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from kd_lab.classroom.panel import TONES, Panel, show, with_code

COLUMN = (
    "<style>.kd-lab-choice > div {display: flex; flex-direction: column; align-items: flex-start; gap: 2px} "
    ".kd-lab-choice button {height: auto; max-width: 100%; white-space: normal; text-align: left; line-height: 1.5; "
    "padding: 0.2em 0.8em}</style>"
)
"""ipywidgets sets toggle buttons side by side and cuts a text that is longer than a line."""

committed: dict[str, str] = {}
"""Predictions of this session by question, so that running a cell again does not make anyone's mind up anew."""


@dataclass(frozen=True)
class Question:
    """One question with one right option."""

    text: str
    options: Mapping[str, str]  # option -> what is said to a learner who chooses it
    right: str  # one of the options

    def __post_init__(self) -> None:
        if self.right not in self.options:
            raise ValueError(
                f"the right answer {self.right!r} is none of the options {list(self.options)}; copy it from there"
            )


@dataclass(frozen=True)
class Prediction:
    """A learner's commitment, to be compared with what happens."""

    question: str
    options: Sequence[str]

    @property
    def answer(self) -> str | None:
        said = committed.get(self.question)
        return said if said in self.options else None  # the options may have been edited since

    def reveal(self, right: str, because: str = "") -> None:
        """Hold the prediction against what was seen.

        Args:
            right: the option that turned out true; compute it from the data where that is possible.
            because: one or two sentences of explanation.

        Raises:
            ValueError: `right` is none of the options.
        """
        if right not in self.options:
            raise ValueError(
                f"{right!r} is none of the options {list(self.options)}; copy it from the prediction above"
            )
        if self.answer is None:
            said = f"You made no prediction. What happened: {right}."
        elif self.answer == right:
            said = f"You said “{self.answer}”, and so it is."
        else:
            said = f"You said “{self.answer}”. What happened: {right}."
        tone = "good" if self.answer == right else "plain"
        show(Panel(said, (because,) if because else (), tone=tone))


@dataclass(frozen=True)
class Form:
    """Widgets, and the text that stands in their place where no kernel runs."""

    widget: widgets.Widget
    text: str = field(default="")

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": self.text}


def predict(question: str, options: Sequence[str]) -> Prediction:
    """Ask for a prediction before anything moves.

    Args:
        question: one sentence.
        options: at least two answers.

    Returns:
        The prediction; call its `reveal` where the answer shows.

    Raises:
        ValueError: fewer than two options, or two that are the same.
    """
    check_options(options)
    prediction = Prediction(question, tuple(options))

    def commit(option: str) -> tuple[str, str]:
        committed[question] = option
        return f"You said “{option}”. Go on and see.", "plain"

    box = choice(f"Predict: {question}", options, "Commit to this answer", commit, chosen=prediction.answer)
    display(Form(box, as_text(f"Predict: {question}", options)))
    return prediction


def quiz(*questions: Question) -> None:
    """Ask questions with feedback on each option.

    Args:
        questions: each with one right option.
    """
    boxes, texts = [], []
    for number, question in enumerate(questions, 1):

        def answer(option: str, question: Question = question) -> tuple[str, str]:
            right = option == question.right
            return f"{'Right' if right else 'Not so'}. {question.options[option]}", "good" if right else "attention"

        check_options(list(question.options))
        title = f"Question {number} of {len(questions)}. {question.text}"
        boxes.append(choice(title, list(question.options), f"Check answer {number}", answer))
        texts.append(as_text(title, list(question.options)))
    display(Form(widgets.VBox(boxes), "\n\n".join(texts)))


def check_options(options: Sequence[str]) -> None:
    if len(options) < 2 or len(set(options)) < len(options):
        raise ValueError(f"the options are {list(options)}; expected at least two, each different from the others")


def choice(
    title: str,
    options: Sequence[str],
    action: str,
    respond: Callable[[str], tuple[str, str]],
    chosen: str | None = None,
) -> widgets.VBox:
    """A question with one toggle button per option, a button to commit, and a place for the response.

    No radio buttons: in JupyterLab the notebook takes the arrow keys that go from one to the next.

    Args:
        title: the question.
        options: the answers.
        action: what stands on the button and names it to a screen reader; it should differ from question to question.
        respond: what is said to an option, and in which tone.
        chosen: the option that is selected at first.
    """
    answers = widgets.ToggleButtons(
        options=list(options), value=chosen, style={"button_width": "max-content"}, layout=widgets.Layout(width="auto")
    )
    answers.add_class("kd-lab-choice")
    button = widgets.Button(
        description=action, tooltip=action, button_style="primary", layout=widgets.Layout(width="max-content")
    )
    response = widgets.HTML()

    def press(_: widgets.Button) -> None:
        text, tone = respond(answers.value) if answers.value is not None else ("Choose an answer first.", "plain")
        response.value = status(text, tone)

    button.on_click(press)
    return widgets.VBox([widgets.HTML(f"{COLUMN}<strong>{with_code(title)}</strong>"), answers, button, response])


def status(text: str, tone: str) -> str:
    """A response that screen readers announce."""
    style = f"border-left: 4px solid {TONES[tone]}; padding-left: 0.9em"
    return f'<div role="status" style="{style}">{with_code(text)}</div>'


def as_text(title: str, options: Sequence[str]) -> str:
    return "\n".join([title, *(f"  ○ {option}" for option in options), "Run this cell to answer."])
