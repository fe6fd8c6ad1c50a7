"""WHERE is a model's own writing: the teacher's (a set generated once) or the student's (fresh at every step)."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor, nn
from tqdm.auto import trange

from kd_lab.arguments import Model, Positive, checked
from kd_lab.contracts import Source, Writer, stream
from kd_lab.models import MixtureModel, device_of, generate, target_logp
from kd_lab.models.hugging_face_tokenizer import prompt_ids, prompt_text
from kd_lab.where.beam import beam_search
from kd_lab.where.endpoint import TextTeacher
from kd_lab.worlds import Batch, World


@checked
@dataclass(frozen=True)
class TeacherRollouts:
    """Prefixes of texts that the teacher wrote: a set made once, before training, then drawn from with replacement.

    With `decode="sample"` the set is a Monte-Carlo picture of the teacher's joint p(y|x); with `decode="beam"` it keeps
    the highest-scoring y of a beam search for each prompt x, the mode that Kim & Rush train on.

    The set lives as long as the run. A run that resumes from a checkpoint has it written again: by a model the same
    texts, by a `TextTeacher` whose server ignores seeds others, and at its price. To pay once, keep what
    `teacher_texts` returns, and train on `World("written", world.vocabulary, texts, world.held_out)` with `Corpus()`.

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """

    size: int = 2048  # texts in the set
    decode: str = "sample"  # or "greedy", or "beam"; an endpoint that returns text cannot search
    beam_width: int = 5  # hypotheses kept at each step; read only by decode="beam"
    written_by: ClassVar[Writer] = "teacher"

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
        return self.drawn_from(teacher_texts(teacher, world, self, seed), seed)

    def drawn_from(self, texts: Batch, seed: int) -> Source:
        """The source of `bind`, from a set that is already written."""
        generator = stream(seed, "texts")
        return Source(
            lambda batch_size: texts[torch.randint(len(texts), (batch_size,), generator=generator)], (generator,)
        )


@checked
@dataclass(frozen=True)
class StudentRollouts:
    """Prefixes that the student writes itself, fresh at every step: training visits what inference will visit.

    `temperature` is the student's own while it writes. Any other value than 1 visits prefixes that the deployed
    student would not, and the training is on-policy in name only. With a `teacher_mix` of α > 0 each token is drawn
    from α·teacher + (1−α)·student, and the batch tells with which probability.

    Source: Agarwal et al. (2024), arXiv:2306.13649, algorithm 1; Ross, Gordon & Bagnell (2011), arXiv:1011.0686; for
    the mixture Gu et al. (2024), arXiv:2306.08543, equation 4.
    """

    temperature: Positive = 1.0  # τ of the writing
    teacher_mix: float = 0.0  # α, the teacher's share in every token
    written_by: ClassVar[Writer] = "student"

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
        """A source that lets the student write a new batch at every call, on the student's own device."""
        prompts_stream = stream(seed, "student's prompts")
        writing = stream(seed, "student writes", device_of(student))
        writer = MixtureModel(teacher, student, self.teacher_mix) if self.teacher_mix else student

        def draw(batch_size: int) -> Batch:
            prompts, lengths = world.sample(batch_size, prompts_stream).prompts(world.vocabulary.pad)
            batch = rollout(writer, world, prompts, writing, self.temperature, lengths)
            return batch if writer is student else Batch(batch.tokens, batch.mask, target_logp(writer, batch))

        return Source(draw, (prompts_stream, writing))


@checked
def rollout(
    model: Model,
    world: World,
    prompts: Int[Tensor, "B P"],
    generator: torch.Generator | None,
    temperature: float = 1.0,
    lengths: Int[Tensor, " B"] | None = None,
    greedy: bool = False,
) -> Batch:
    """Let `model` continue prompts to the world's length; count what it wrote, up to and including the end.

    Args:
        model: the writer. It stays on its device, and the batch lies there too.
        world: sets the length of its texts.
        prompts: ids, as `world.prompts` draws them.
        generator: the source of chance, on the model's device.
        temperature: τ of the writing.
        lengths: the ids of each row that are its prompt; None: all P.
        greedy: take the likeliest token instead of drawing one; the generator is not used.
    """
    width = prompts.shape[1]
    tokens = generate(
        model,
        prompts,
        world.context + 1 - width,
        lengths=lengths,
        generator=generator,
        temperature=temperature,
        greedy=greedy,
    )
    return Batch.from_tokens(tokens, width if lengths is None else lengths.to(tokens.device), end=model.end)


@checked
def teacher_texts(teacher: Model | TextTeacher, world: World, where: TeacherRollouts, seed: int) -> Batch:
    """The `where.size` texts that the teacher writes for prompts drawn from the world, on the CPU.

    A beam search over 64 prompts or more shows a progress bar. An endpoint's texts with symbols outside the world's
    vocabulary are left out with a warning, and those that the server cut off teach no end.

    Raises:
        ValueError: more than half of an endpoint's texts are of no use.
    """
    given = world.sample(where.size, stream(seed, "teacher's prompts"))
    prompts, lengths = given.prompts(world.vocabulary.pad)
    if isinstance(teacher, TextTeacher):
        return _through_text(teacher, world, where, prompts, lengths, seed)
    if where.decode == "beam":
        return _through_beam(teacher, world, where, prompts, lengths)
    writing = stream(seed, "teacher writes", device_of(teacher))
    return rollout(teacher, world, prompts, writing, 1.0, lengths, greedy=where.decode == "greedy").to("cpu")


def _through_beam(
    teacher: nn.Module, world: World, where: TeacherRollouts, prompts: Int[Tensor, "B P"], lengths: Int[Tensor, " B"]
) -> Batch:
    keys = torch.cat([lengths[:, None], prompts], 1)
    unique, position = keys.unique(dim=0, return_inverse=True)  # equal prompts have equal modes: search once
    modes = torch.full((len(unique), world.context + 1), teacher.end)
    for i in trange(len(unique), desc="beam search", leave=False, disable=len(unique) < 64):
        prompt = unique[i, 1 : 1 + unique[i, 0]]
        room = world.context + 1 - len(prompt)
        best = beam_search(teacher, prompt, width=where.beam_width, max_new_tokens=room)[0].tokens
        modes[i, : len(best)] = torch.tensor(best)
    return Batch.from_tokens(modes[position], lengths, end=teacher.end)


def _through_text(
    teacher: TextTeacher,
    world: World,
    where: TeacherRollouts,
    prompts: Int[Tensor, "B P"],
    lengths: Int[Tensor, " B"],
    seed: int,
) -> Batch:
    if where.decode == "beam":
        raise ValueError(
            'decode is "beam" and the teacher answers in text only; such an endpoint samples or decodes greedily: '
            'take decode="sample" or "greedy", or give the model itself'
        )
    tokenizer, width = world.vocabulary, world.context + 1
    temperature = 0.0 if where.decode == "greedy" else 1.0
    beginnings = [prompt_text(tokenizer, row[:length]) for row, length in zip(prompts, lengths, strict=True)]
    tokens, shared = torch.full((len(prompts), width), tokenizer.pad), lengths.clone()
    cut = torch.full((len(prompts),), width)  # from this column on nothing was written and nothing ended
    unusable: dict[int, ValueError] = {}
    room = (width - lengths).tolist()  # so that each text reaches to the last column, and no further
    endings = teacher.completions(beginnings, max_tokens=room, temperature=temperature, seed=seed)
    for row, (ending, finished) in enumerate(endings):
        length = int(lengths[row])
        ending = ending if teacher.clean is None else teacher.clean(ending)
        try:
            alone, whole = (prompt_ids(tokenizer, text) for text in (beginnings[row], beginnings[row] + ending))
        except ValueError as error:  # symbols that the world does not have
            unusable[row] = error
            continue
        whole = torch.cat([whole, whole.new_tensor([tokenizer.end])])
        # the ids of the whole need not begin with all of the prompt's: from the first that differs on, all counts
        most = min(len(alone), len(whole) - 1)
        kept = int((alone[:most] == whole[:most]).int().cumprod(0).sum())
        shared[row] = max(length - len(alone) + kept, 1)  # encoding may begin a prompt that had no beginning
        whole = whole if finished else whole[:-1]  # what the server cut off must not teach to end there
        text = torch.cat([prompts[row, : shared[row]], whole[kept:]])[:width]
        tokens[row, : len(text)] = text
        cut[row] = width if finished else len(text)
    texts = Batch.from_tokens(tokens, shared, end=tokenizer.end, pad=tokenizer.pad)
    mask = texts.mask & (torch.arange(1, width) < cut[:, None])
    mask[list(unusable)] = False
    _say_what_is_left_out(unusable, len(prompts))
    return Batch(tokens, mask)[mask.any(1)]


def _say_what_is_left_out(unusable: dict[int, ValueError], asked: int) -> None:
    if not unusable:
        return
    left_out = f"{len(unusable)} of {asked} texts of the teacher hold symbols that the world does not have"
    remedy = "give TextTeacher a clean=… such as str.lower, or a world whose vocabulary holds them"
    first = next(iter(unusable.values()))
    if 2 * len(unusable) > asked:
        raise ValueError(f"{left_out}; expected at least half to be of use; {remedy}; the first: {first}") from first
    warnings.warn(f"{left_out} and are left out; {remedy}; the first: {first}", stacklevel=2)
