"""DAgger as a game: the student writes, the learner says what should come next, the student is trained on that."""

import copy
import html

import ipywidgets as widgets
import torch
from IPython.display import display
from jaxtyping import Int
from torch import Tensor

from kd_lab.classroom.questions import Form, status
from kd_lab.how import forward_kl
from kd_lab.lessons.l05_where.tunes import LOST, NOTES, growth, visits
from kd_lab.models import FiniteStateModel
from kd_lab.where import rollout
from kd_lab.worlds import World

ROUNDS, AT_FORKS, ELSEWHERE, STEPS = 2, 4, 2, 30
SIGNS = NOTES.symbols[1:]
ROAD = "No note comes twice in a row. Once one has, only ! leads back to the road."


class LabelGame:
    """Two rounds of DAgger with the learner as the expert: six prefixes of the student's, six labels, a training.

    Args:
        student: plays along as a copy.
        teacher: knows what each label was worth, and by how much the student misses it; it labels the old texts only.
        world: the old texts.
        seed: of everything that is drawn.

    >>> from kd_lab.lessons.l05_where.tunes import new_student, tunes, world_of
    >>> game = LabelGame(new_student(0), tunes(), world_of(tunes()), seed=0)
    >>> for _ in range(12):
    ...     said = game.answer(game.expert())
    >>> [row["labels"] for row in game.rows]
    [0, 6, 12]
    """

    def __init__(self, student: FiniteStateModel, teacher: FiniteStateModel, world: World, seed: int = 0) -> None:
        self.first, self.teacher, self.world, self.seed = student, teacher, world, seed
        self.restart()

    # ---- the game --------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Back to the student as it came, without labels."""
        self.student = copy.deepcopy(self.first)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.states: list[int] = []  # of the student, one per label
        self.labels: list[int] = []
        self.rows = [self.measure()]
        self.questions = self.ask()

    @property
    def over(self) -> bool:
        return not self.questions

    @property
    def prefix(self) -> Int[Tensor, "1 T"]:
        """The text of the question that stands, as far as the student has written it, after the mark that begins it."""
        return self.questions[0]

    def expert(self) -> int:
        """The label that the teacher finds likeliest here."""
        return int(self.teacher.logp()[self.teacher.states(self.prefix)[0, -1]].argmax())

    def ask(self) -> list[Int[Tensor, "1 T"]]:
        """Prefixes that the student has just written: some that end at a fork, some on the road, in random order."""
        start = torch.zeros(400, 1, dtype=torch.long)
        texts = rollout(self.student, self.world, start, self.generator)
        lost = (self.teacher.states(texts.inputs) == LOST) & texts.mask
        forks = [(row, int(lost[row].int().argmax())) for row in lost.any(1).nonzero()[:, 0].tolist()]
        by_note = {int(texts.inputs[place]): place for place in reversed(forks)}  # each note once, if it was repeated
        forks = list(dict.fromkeys([*by_note.values(), *forks]))[:AT_FORKS]
        straight = (~lost.any(1)).nonzero()[:ELSEWHERE, 0].tolist()
        places = [*forks, *((row, 3 + 5 * number) for number, row in enumerate(straight))]
        order = torch.randperm(len(places), generator=self.generator).tolist()
        return [texts.inputs[row : row + 1, : step + 1] for row, step in (places[i] for i in order)]

    def answer(self, label: int) -> str:
        """Take a label for the prefix that stands; train and go on to the next round when it was the round's last.

        Returns:
            What the label was worth, and what the training did.
        """
        p = self.teacher.logp()[self.teacher.states(self.prefix)[0, -1]].exp().tolist()
        self.states.append(int(self.student.states(self.prefix)[0, -1]))
        self.labels.append(label)
        self.questions.pop(0)
        said = f"Your label “{NOTES.symbols[label]}”: the teacher gives it {p[label]:.0%}."
        if self.questions:
            return said
        self.train()
        self.rows.append(self.measure())
        self.questions = self.ask() if len(self.rows) <= ROUNDS else []
        before, after = (row["nats"] for row in self.rows[-2:])
        return (
            f"{said} Trained on all {len(self.labels)} labels, the student went from {before:.2f} to {after:.2f} nats."
        )

    def train(self) -> None:
        """Thirty steps on the aggregated set: 32 old texts with the teacher's labels, and all of the learner's."""
        optimiser = torch.optim.Adam(self.student.parameters(), lr=0.1)
        states, labels = torch.tensor(self.states), torch.tensor(self.labels)
        for _ in range(STEPS):
            rows = torch.randint(len(self.world.train), (32,), generator=self.generator)
            old = self.world.train[rows]
            q = self.student.logp()
            gaps = forward_kl(q[self.student.states(old.inputs)], self.teacher.logp()[self.teacher.states(old.inputs)])
            loss = (gaps[old.mask].sum() - q[states, labels].sum()) / (old.mask.sum() + len(labels))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Labels so far, tokens written off the road per text, and R(24); exact, over all texts of the student."""
        off = visits(self.student, self.teacher)[:, LOST].sum().item()
        return {"labels": len(self.labels), "off": off, "nats": growth(self.student, self.teacher)[0].sum().item()}

    # ---- the page --------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Put the game under the cell."""
        self.board, self.said, self.table = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.buttons = [
            widgets.Button(description=sign, tooltip=f"label {sign}", layout=widgets.Layout(width="4em"))
            for sign in SIGNS
        ]
        for label, button in enumerate(self.buttons, 1):
            button.on_click(lambda _, label=label: self.refresh(self.answer(label)))
        again = widgets.Button(description="Start again", tooltip="Start the game again")
        again.on_click(lambda _: (self.restart(), self.refresh("")))
        self.refresh("")
        box = widgets.VBox([self.board, widgets.HBox([*self.buttons, again]), self.said, self.table])
        display(Form(box, "A game: label what the student has written. Run this cell to play."))

    def refresh(self, said: str) -> None:
        """Show the question that stands, what was said of the last answer, and the table."""
        for button in self.buttons:
            button.disabled = self.over
        self.board.value = self.question()
        self.said.value = status(said, "plain") if said else ""
        cells = [(f"{row['labels']}", f"{row['off']:.1f}", f"{row['nats']:.2f}") for row in self.rows]
        heads = ("labels", "of 24 tokens off the road", "R(24), nats")
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells)
        self.table.value = f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"

    def question(self) -> str:
        """The prefix that stands, as HTML."""
        if self.over:
            return "<p>Two rounds are over. The table says what your labels did.</p>"
        number, of = len(self.labels) + 1, len(self.labels) + len(self.questions)
        written = html.escape(" ".join(NOTES.symbols[token] for token in self.prefix[0, 1:].tolist()))
        return (
            f"<p>{ROAD}</p><p><strong>Label {number} of {of}.</strong> The student has written "
            f'<code style="font-size:130%">{written}</code>. What should come next?</p>'
        )
