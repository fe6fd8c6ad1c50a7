"""One process of several: the texts that are its own, and the numbers that the processes share.

Under `torchrun`, `distill` trains any recipe data-parallel. The script is that of one process, and begins with a line,
or with two on GPUs:

    # train.py, started by: torchrun --nproc-per-node=2 train.py
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # with GPUs, where device is "cuda"
    torch.distributed.init_process_group()  # NCCL between GPUs, gloo between CPUs
    student = GPT(config).to(device)        # one shape everywhere; the weights become those of rank 0
    distill(student, teacher, world, gkd(), steps=300, batch_size=64)

Without `set_device` all processes would share their numbers through the first GPU, which NCCL refuses or waits for in
vain.

`batch_size` stays the number of texts per step, over all processes. A student that `fully_shard` has sharded over the
processes stays sharded; another is kept whole on each of them.
"""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kd_lab.contracts import Source, Where, derive
from kd_lab.models import device_of
from kd_lab.where import Mixture, TeacherRollouts, teacher_texts
from kd_lab.worlds import World

Made = TypeVar("Made")


@dataclass(frozen=True)
class Ranks:
    """This process among its equals. A process alone is rank 0 of 1 and talks to nobody."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> "Ranks":
        """The default process group, or this process alone where there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all ranks, on each of them."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def gather(self, value: object) -> list:
        """The value of every rank, on each of them."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable[[], Made], device: torch.device) -> Made:
        """The value that rank 0 makes, on each of them. The others wait while the process group's timeout allows it.

        Args:
            make: called on rank 0 alone.
            device: this rank's own, over which the value travels.

        Raises:
            RuntimeError: on the others, where rank 0 failed; there its own error goes on.
            KeyboardInterrupt: on each, where rank 0 was interrupted.
        """
        if self.size == 1:
            return make()
        said: list[Any] = [None, None]
        error: BaseException | None = None
        if self.rank == 0:
            try:
                said[0] = make()
            except BaseException as caught:  # the others wait for a word whatever happens
                error = caught
                said[1] = "" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        dist.broadcast_object_list(said, 0, device=device)
        if error is not None:
            raise error
        if said[1] is not None:
            raise RuntimeError(f"rank 0 failed with {said[1]}") if said[1] else KeyboardInterrupt
        return said[0]

    def share_weights(self, model: nn.Module) -> None:
        """Give every rank the weights of rank 0. A sharded model is one model already."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                if not is_sharded(tensor):
                    dist.broadcast(tensor.detach(), 0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up each parameter's gradient over the ranks; a rank that has none adds zero.

        `fully_shard` has brought the gradients of its parameters to their mean over the ranks, in the backward pass.
        """
        if self.size == 1:
            return
        at_work = []
        for parameter in parameters:
            if not is_sharded(parameter):
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                at_work.append(dist.all_reduce(parameter.grad, async_op=True))
            elif parameter.grad is not None:
                parameter.grad.mul_(self.size)
        for work in at_work:
            work.wait()


def is_sharded(tensor: Tensor) -> bool:
    """Whether each rank holds its own piece of the tensor."""
    return hasattr(tensor, "full_tensor")


def bind_part(where: Where, world: World, student: nn.Module, teacher: object, seed: int, ranks: Ranks) -> Source:
    """This rank's share of a source: asked for n texts, it returns n of the size · n that all ranks get together.

    The world's texts are cheap to draw: each rank draws them all and keeps its own, so that the run is that of one
    process. So it does with the teacher's, which rank 0 alone has written, and paid for, and sends on. A text that
    the student writes is written once, by one rank, from that rank's own stream: another draw of the same
    distribution. A mixture throws one coin for all ranks, that of one process, so that a batch is the student's as a
    whole or not at all.
    """
    if ranks.size == 1:
        return where.bind(world, student, teacher, seed)
    if isinstance(where, Mixture):
        return where.between(*(bind_part(side, world, student, teacher, seed, ranks) for side in where.sides), seed)
    if where.written_by == "student":
        source = where.bind(world, student, teacher, derive(seed, f"rank {ranks.rank}"))
        mixed_in = getattr(where, "teacher_mix", 0) and isinstance(teacher, nn.Module)

        def draw(batch_size: int):
            with gathered(student), gathered(teacher) if mixed_in else nullcontext():
                return source(batch_size)

        return Source(draw, source.chance)
    if type(where) is TeacherRollouts:
        with gathered(teacher) if isinstance(teacher, nn.Module) else nullcontext():
            texts = ranks.from_first(lambda: teacher_texts(teacher, world, where, seed), device_of(student))
        source = where.drawn_from(texts, seed)
    else:
        source = where.bind(world, student, teacher, seed)
    own = slice(ranks.rank, None, ranks.size)
    return Source(lambda batch_size: source(batch_size * ranks.size)[own], source.chance)


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Hold a sharded model whole while it writes, since the ranks' texts end at different steps and none may wait.

    After it, each block but the outermost gives its weights back after its forward pass, as `fully_shard` has it by
    default.
    """
    sharded = [module for module in model.modules() if hasattr(module, "set_reshard_after_forward")]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for i, module in enumerate(sharded):
            module.reshard()
            module.set_reshard_after_forward(i > 0, recurse=False)


class Interrupts:
    """Ctrl-C for several processes: the process that is interrupted tells the others after the step, and all stop.

    One process alone stops at once, as usual.
    """

    def __init__(self, ranks: Ranks, device: torch.device):
        self.ranks, self.device, self.came = ranks, device, False

    def __enter__(self) -> "Interrupts":
        self.listens = self.ranks.size > 1 and threading.current_thread() is threading.main_thread()
        if self.listens:
            self.before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "came", True))
        return self

    def __exit__(self, *error: object) -> None:
        if self.listens:
            signal.signal(signal.SIGINT, self.before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """An interrupt in here, such as one of a callback, waits for `settle` where other processes do."""
        try:
            yield
        except KeyboardInterrupt:
            if self.ranks.size == 1:
                raise
            self.came = True

    def settle(self, failed: bool = False) -> bool:
        """Whether any process has failed. If none has and one was interrupted, every process stops.

        Raises:
            KeyboardInterrupt: on every rank.
        """
        if self.ranks.size == 1:
            return failed
        failures, interrupts = self.ranks.sum(torch.tensor([failed, self.came], dtype=torch.int, device=self.device))
        if interrupts and not failures:
            raise KeyboardInterrupt
        return bool(failures)
