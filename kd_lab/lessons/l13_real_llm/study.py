"""The budget of the experiment, its texts as a world, and the measures on texts that no student has read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor

from kd_lab.contracts import Head
from kd_lab.how import forward_kl, reverse_kl, total_variation
from kd_lab.lessons.l13_real_llm.pruning import shallower
from kd_lab.models import HuggingFace
from kd_lab.models.reading import evaluating
from kd_lab.models.saved import write_file
from kd_lab.worlds import Batch, World

MEASURES = ("forward_kl", "reverse_kl", "acceptance", "agreement", "surprise")
"""Per text and token: KL(p‖q) and KL(q‖p) in nats, Σ min(p, q), whether both have the same favourite, and −log q of
the text's own token in nats."""

ROWS_AT_ONCE = 4


@dataclass(frozen=True)
class Budget:
    """All that decides the length of the experiment."""

    tokens: int = 64_000  # that the longest arm trains on; each short arm gets a quarter
    rows: int = 192  # texts to train on, of each kind
    held_out: int = 12  # texts to measure on, of each kind
    context: int = 96  # tokens of a text
    calibration: tuple[int, int] = (4, 32)  # texts and tokens on which a layer's importance is measured
    layers: tuple[int, int] = (20, 15)  # that stay
    batch_size: int = 2
    bfloat16: bool = True  # the layers multiply in it while they train; heads, losses and all measures are in float32
    learning_rate: float = 5e-4
    top_k: int = 32
    samples: int = 12
    new_tokens: int = 40  # that a sample or a speculated text adds
    spoken: int = 4  # texts that speculative decoding writes
    seed: int = 0

    @classmethod
    def of(cls, tokens: int, bfloat16: bool = True) -> "Budget":
        """The budget for so many tokens, with as many texts as are then read about twice."""
        return cls(tokens=tokens, rows=max(8, round(tokens / 333)), bfloat16=bfloat16)

    def facts(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True, eq=False)
class Study:
    """A teacher and its texts. In both sets the teacher's own come first, then those of the Python installation."""

    teacher: HuggingFace
    world: World
    written: tuple[int, int]  # texts of the teacher's own: training, held out
    budget: Budget

    @classmethod
    def of(cls, teacher: HuggingFace, texts: Mapping[str, Any], budget: Budget) -> "Study":
        """The study of such texts: "written" and "passages", each {"train": […], "held_out": […]}."""
        parts = []
        for part in ("train", "held_out"):
            pairs = [tuple(pair) for pair in texts["written"][part]]
            parts.append([*pairs, *texts["passages"][part]])
        world = teacher.tokenizer.world(*parts, context=budget.context, name="two kinds of text")
        written = tuple(len(texts["written"][part]) for part in ("train", "held_out"))
        return cls(teacher, world, written, budget)

    @property
    def spoken_world(self) -> World:
        """The teacher's own texts alone."""
        train, held_out = self.written
        return World("its own texts", self.world.vocabulary, self.world.train[:train], self.world.held_out[:held_out])

    def steps(self, tokens: int, world: World | None = None) -> int:
        """Training steps that read about so many counted tokens."""
        batch = (world or self.world).train
        return max(1, round(tokens / (self.budget.batch_size * batch.mask.sum().item() / len(batch))))

    @property
    def calibration(self) -> Batch:
        """Texts of both kinds on which the importance of layers is measured; students train on them too."""
        rows, length = self.budget.calibration
        own = (rows + 1) // 2
        picked = [*range(own), *range(self.written[0], self.written[0] + rows - own)]
        batch = self.world.train[torch.tensor(picked)]
        return Batch(batch.tokens[:, : length + 1], batch.mask[:, :length])

    @cached_property
    def _read(self) -> Head:
        """The teacher on all held-out texts, as hidden states: 85 times fewer numbers than its logits."""
        with torch.no_grad(), evaluating(self.teacher):
            parts = [self.teacher.factors(rows.inputs) for rows in _pieces(self.world.held_out)]
        return parts[0]._replace(hidden=torch.cat([part.hidden for part in parts]))

    def measure(self, student: HuggingFace, rows: int | None = None) -> dict[str, list[float]]:
        """The measures of a student, a number per held-out text: the mean over its counted tokens.

        Args:
            student: with the teacher's vocabulary.
            rows: of each kind, from the first on; None: all.
        """
        own, total = self.written[1], len(self.world.held_out)
        picked = list(range(total)) if rows is None else [*range(rows), *range(own, own + rows)]
        found: dict[str, list[float]] = {name: [] for name in MEASURES}
        with torch.no_grad(), evaluating(student):
            for some in torch.tensor(picked).split(ROWS_AT_ONCE):
                batch = self.world.held_out[some]
                teacher = self._read._replace(hidden=self._read.hidden[some]).logits().log_softmax(-1)
                values = _per_token(student(batch.inputs).log_softmax(-1), teacher, batch)
                counts = batch.mask.sum(1)
                for name, value in values.items():
                    found[name] += (value.where(batch.mask, 0.0).sum(1) / counts).tolist()
        return {name: [round(value, 5) for value in values] for name, values in found.items()}


def _pieces(batch: Batch) -> list[Batch]:
    return [batch[rows] for rows in torch.arange(len(batch)).split(ROWS_AT_ONCE)]


def _per_token(
    student_logp: Float[Tensor, "B T V"], teacher_logp: Float[Tensor, "B T V"], batch: Batch
) -> dict[str, Float[Tensor, "B T"]]:
    return {
        "forward_kl": forward_kl(student_logp, teacher_logp),
        "reverse_kl": reverse_kl(student_logp, teacher_logp),
        "acceptance": 1 - total_variation(student_logp, teacher_logp),
        "agreement": (student_logp.argmax(-1) == teacher_logp.argmax(-1)).float(),
        "surprise": -student_logp.gather(-1, batch.targets[..., None])[..., 0],
    }


def save_student(student: HuggingFace, kept: list[int], path: Path) -> int:
    """Write the layers of a student in half precision; the rest is the teacher's. Returns the bytes on disk."""
    weights = {name: weight.half() for name, weight in student.model.get_decoder().layers.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, save(weights, metadata={"kept": json.dumps(kept)}))
    return path.stat().st_size


def load_student(teacher: HuggingFace, kept: list[int], path: Path) -> HuggingFace:
    """A student that `save_student` wrote."""
    student = shallower(teacher, kept)
    weights = {name: weight.float() for name, weight in load_file(path).items()}
    student.model.get_decoder().layers.load_state_dict(weights)
    return student
