"""WHERE is somebody's own writing: the teacher's (a set generated once) or the student's (fresh at every step)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import trange

from kd_lab.contracts import Source
from kd_lab.models import MixtureModel, evaluating, generate
from kd_lab.where.beam import beam_search
from kd_lab.where.endpoint import TextTeacher
from kd_lab.worlds import END, Batch, World


@dataclass(frozen=True)
class TeacherRollouts:
    """Prefixes of texts that the teacher wrote: a set made once, before training, then drawn from with replacement.

    With `decode="sample"` the set is a Monte-Carlo picture of the teacher's joint p(y|x); with `decode="beam"` it keeps
    the highest-scoring y of a beam search for each prompt x, the mode that Kim & Rush train on.

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """

    size: int = 2048  # texts in the set
    decode: str = "sample"  # or "greedy", or "beam"; an endpoint that returns text cannot search
    beam_width: int = 5  # hypotheses kept at each step; read only by decode="beam"
    written_by: ClassVar[str] = "teacher"

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size is {self.size}; expected at least one teacher text to train on")
        if self.decode not in ("sample", "greedy", "beam"):
            raise ValueError(f'decode is {self.decode!r}; expected "sample", "greedy" or "beam"')

    def __str__(self) -> str:
        return {"sample": "teacher samples", "greedy": "teacher's greedy text", "beam": "teacher's beam mode"}[
            self.decode
        ]

    def bind(self, world: World, student: nn.Module, teacher: nn.Module | TextTeacher, seed: int) -> Source:
        """A source of batches drawn with replacement from a set that the teacher writes now."""
        texts = teacher_texts(teacher, world, self, seed)
        generator = torch.Generator().manual_seed(seed)
        return Source(
            lambda batch_size: texts[torch.randint(len(texts), (batch_size,), generator=generator)], (generator,)
        )


@dataclass(frozen=True)
class StudentRollouts:
    """Prefixes that the student writes itself, fresh at every step: training visits what inference will visit.

    `temperature` is the student's own while it writes. Any other value than 1 visits prefixes that the deployed
    student would not, and the training is on-policy in name only. With a `teacher_mix` of α > 0 each token is drawn
    from     α·teacher + (1−α)·student, and the batch tells with which probability.

    Source: Agarwal et al. (2024), arXiv:2306.13649, algorithm 1; Ross, Gordon & Bagnell (2011), arXiv:1011.0686; for
    the mixture Gu et al. (2024), arXiv:2306.08543, equation 4.
    """

    temperature: float = 1.0  # τ of the writing
    teacher_mix: float = 0.0  # α, the teacher's share in every token
    written_by: ClassVar[str] = "student"

    def __post_init__(self):
        if not 0 <= self.teacher_mix < 1:
            raise ValueError(
                f"teacher_mix is {self.teacher_mix}; expected 0 ≤ α < 1: at 1 the teacher writes alone, which is "
                "TeacherRollouts"
            )
        if self.teacher_mix and self.temperature != 1:
            raise ValueError(
                f"temperature is {self.temperature} with a teacher_mix of {self.teacher_mix}; expected temperature 1, "
                "so that the importance weights are those of the distributions that are trained"
            )

    def __str__(self) -> str:
        mixed = f", {self.teacher_mix:g} teacher" if self.teacher_mix else ""
        return f"on-policy (student{mixed})"

    def bind(self, world: World, student: nn.Module, teacher: object, seed: int) -> Source:
        """A source that lets the student write a new batch at every call."""
        generator = torch.Generator().manual_seed(seed)
        writer = MixtureModel(teacher, student, self.teacher_mix) if self.teacher_mix else student

        def draw(batch_size: int) -> Batch:
            prompts = world.prompts(batch_size, generator)
            batch = rollout(writer, world, prompts, generator, self.temperature)
            return batch if writer is student else Batch(batch.tokens, batch.mask, text_logp(writer, batch))

        return Source(draw, (generator,))


def rollout(
    model: nn.Module, world: World, prompts: Int[Tensor, "B P"], generator: torch.Generator, temperature: float = 1.0
) -> Batch:
    """Let `model` continue `prompts` [B, P] to the world's length; count what it wrote, up to and including the end."""
    new_tokens = world.context + 1 - world.prompt_length
    device = next(model.parameters()).device
    tokens = generate(model, prompts.to(device), new_tokens, generator=generator, temperature=temperature)
    return Batch.from_tokens(tokens, world.prompt_length)


@torch.no_grad()
def text_logp(model: nn.Module, batch: Batch) -> Float[Tensor, "B T"]:
    """log-probability, in nats, of every target under `model`, which reads in eval mode as it does while it writes."""
    with evaluating(model):
        return model(batch.inputs).log_softmax(-1).gather(-1, batch.targets[..., None])[..., 0]


def teacher_texts(teacher: nn.Module | TextTeacher, world: World, where: TeacherRollouts, seed: int) -> Batch:
    """Let the teacher write `where.size` texts for prompts drawn from the world. Slow decoding shows a progress bar."""
    generator = torch.Generator().manual_seed(seed)
    prompts = world.prompts(where.size, generator)
    if isinstance(teacher, TextTeacher):
        return _through_text(teacher, world, where, prompts, seed)
    new_tokens = world.context + 1 - world.prompt_length
    if where.decode == "beam":
        unique, position = prompts.unique(dim=0, return_inverse=True)  # equal prompts have equal modes: search once
        modes = torch.full((len(unique), world.context + 1), END)
        for i in trange(len(unique), desc="beam search", leave=False, disable=len(unique) < 64):
            best = beam_search(teacher, unique[i], width=where.beam_width, max_new_tokens=new_tokens)[0].tokens
            modes[i, : len(best)] = torch.tensor(best)
        return Batch.from_tokens(modes[position], world.prompt_length)
    tokens = generate(teacher, prompts, new_tokens, generator=generator, greedy=where.decode == "greedy")
    return Batch.from_tokens(tokens, world.prompt_length)


def _through_text(
    teacher: TextTeacher, world: World, where: TeacherRollouts, prompts: Int[Tensor, "B P"], seed: int
) -> Batch:
    if where.decode == "beam":
        raise ValueError(
            'decode is "beam" and the teacher answers in text only; such an endpoint samples or decodes greedily: '
            'take decode="sample" or "greedy", or give the model itself'
        )
    beginnings = world.vocabulary.decode(prompts)
    temperature = 0.0 if where.decode == "greedy" else 1.0
    new_tokens = world.context + 1 - world.prompt_length
    endings = teacher.complete(beginnings, max_tokens=new_tokens, temperature=temperature, seed=seed)
    tokens = torch.full((len(prompts), world.context + 1), END)
    for row, (beginning, ending) in enumerate(zip(beginnings, endings, strict=True)):
        text = world.vocabulary.encode([beginning + ending])[0, : world.context + 1]
        tokens[row, : len(text)] = text
    return Batch.from_tokens(tokens, world.prompt_length)
