"""A run on disk: one file that holds all that the next step depends on, replaced whole after so many steps.

Killed at any moment, the run goes on from the last file to the same weights, bit for bit. The file holds the student's
trainable weights and buffers, a projector's, the optimizer's moments, the history, and the streams of chance of every
process. Dropout needs no entry, since each step seeds it anew; frozen weights and the teacher are the caller's. So are
texts that a server wrote: a run that resumes asks for them anew, see `TeacherRollouts`.
"""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kd_lab.methods.parallel import is_sharded
from kd_lab.methods.training import COLUMNS, Training
from kd_lab.models.files import MODEL, write_file
from kd_lab.models.fingerprint import fingerprint
from kd_lab.worlds import World

FORMAT = "kd_lab training run 2"
EARLIER = "kd_lab training run 1"  # did not write all of the recipe down


class Checkpoint:
    """The file of one run in `folder`, which every process of the run must be able to read."""

    def __init__(self, folder: str | os.PathLike[str]):
        """Raises ValueError where no folder can have this name."""
        named = os.fspath(folder)
        if not named or "\0" in named or (os.path.exists(named) and not os.path.isdir(named)):
            raise ValueError(f"checkpoint is {named!r}; expected the name of a folder, or of one that can be made")
        self.path = Path(named) / "run.safetensors"

    def begin(self, training: Training, world: World) -> None:
        """Make the folder, and try whether this run can be kept there, before anything is trained or paid for.

        Raises:
            ValueError: no file can be written there; it holds another run, or no such file; or the recipe cannot be
                told apart from another. On the processes beside the first it is a RuntimeError with its words.
        """
        self.run = _description(training, world)

        def attempt() -> None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=self.path.parent).close()
            except OSError as error:
                raise ValueError(
                    f"checkpoint is {str(self.path.parent)!r}, where no file can be written ({error}); expected a "
                    "folder of your own on a disk that is not full"
                ) from error
            self._read(tensors=False)

        training.ranks.from_first(attempt, training.device)

    def save(self, training: Training) -> None:
        """Write the state after the last complete step: all of it or none."""
        tensors = {name: _whole(tensor) for name, tensor in _state(training).items()}
        tensors |= {f"history.{name}": torch.tensor(training.history[name], dtype=torch.float64) for name in COLUMNS}
        streams = training.ranks.gather([generator.get_state() for generator in training.objective.chance])
        for rank, states in enumerate(streams):
            tensors |= {f"chance.{rank}.{i}": state for i, state in enumerate(states)}
        if training.ranks.rank == 0:
            about = {"format": FORMAT, "run": json.dumps(self.run)}
            write_file(self.path, save(tensors, metadata=about), MODEL)

    @torch.no_grad()
    def load(self, training: Training) -> None:
        """Bring a training that has just begun to the state of the file, if there is one.

        Raises:
            ValueError: the file is of another run, or is no such file; or the processes do not find the same steps.
        """
        self.run["shapes"] = [f"{name} {list(tensor.shape)}" for name, tensor in _weights(training).items()]
        if training.ranks.rank == 0:
            for cut_short in self.path.parent.glob(f".{self.path.name}-*"):  # a write that was killed; see whole_file
                shutil.rmtree(cut_short, ignore_errors=True)
        tensors = self._read()
        steps = training.ranks.gather(len(tensors.get("history.step", ())))
        if len(set(steps)) > 1:
            raise ValueError(
                f"{self.path} holds {steps[training.ranks.rank]} steps for process {training.ranks.rank}, and for all "
                f"in their order {steps}; expected the same for each, so that all go on from one step: name a folder "
                "on a disk that all processes share"
            )
        if tensors:
            self._restore(training, tensors)

    def _restore(self, training: Training, tensors: dict[str, Tensor]) -> None:
        """Bring weights, moments, history and chance to the state that was saved, on all processes together."""
        for i, parameter in enumerate(_parameters(training)):
            if f"optimizer.{i}.step" in tensors:  # one that no gradient has reached has no moments
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                training.optimizer.state[parameter] = {"step": torch.zeros((), dtype=torch.float32)} | moments
        for name, tensor in _state(training).items():
            tensor.copy_(_like(tensors[name], tensor))
        for name in COLUMNS:
            kind = int if name in ("step", "tokens") else float
            training.history[name] = list(map(kind, tensors[f"history.{name}"].tolist()))
        for i, generator in enumerate(training.objective.chance):
            generator.set_state(tensors[f"chance.{training.ranks.rank}.{i}"])

    def _read(self, tensors: bool = True) -> dict[str, Tensor]:
        """The file's tensors, if there is a file and they are wanted, once it is known to be of this run."""
        if not self.path.exists():
            return {}
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata() or {}
                found = {name: file.get_tensor(name) for name in file.keys() if tensors}  # noqa: SIM118 — not a mapping
        except SafetensorError as error:
            raise ValueError(f"{self.path} cannot be read ({error}); delete it to begin anew") from error
        if about.get("format") == EARLIER:
            raise ValueError(
                f"{self.path} is of an earlier version, which did not write down every option of the recipe; expected "
                "a run of this one: delete the file to begin anew, or finish the run with the version that began it"
            )
        if about.get("format") != FORMAT:
            raise ValueError(f"{self.path} is no run of distill; expected another folder, or one that is empty")
        saved, wanted = json.loads(about["run"]), self.run
        other = {name for name in wanted if name != "said" and saved.get(name) != wanted[name]}
        if other:
            there, here = ({name: (run | run["said"]).get(name) for name in sorted(other)} for run in (saved, wanted))
            raise ValueError(
                f"{self.path} holds a run with {there}, and this one has {here}; expected the same run: take another "
                "folder, or delete the file to begin anew"
            )
        return found


def _description(training: Training, world: World) -> dict[str, object]:
    """The facts that two halves of one run share, as far as they are known before anything is bound."""
    names = ("steps", "seed", "batch_size", "accumulate", "learning_rate", "clip")
    recipe = training.recipe
    factors = [float(training.schedule(step, training.steps)) for step in range(1, training.steps + 1)]
    texts = f"{world.name}, {len(world.train)} texts"
    rows = fingerprint((texts, world.train) if world.weights is None else (texts, world.train, world.weights))
    try:
        parts = fingerprint((recipe.name, recipe.terms))
    except ValueError as error:
        raise ValueError(f"a checkpoint cannot tell {recipe.name} from another recipe: {error}") from error
    return {name: getattr(training, name) for name in names} | {
        "recipe": parts,
        "world": rows,
        "schedule": fingerprint(factors),
        # for people alone
        "said": {"recipe": repr(recipe), "world": f"{texts} ({rows})", "schedule": _said(factors)},
        "autocast": str(training.autocast),
        "processes": training.ranks.size,
    }


def _said(factors: list[float]) -> str:
    """Five of a schedule's factors, from the first to the last, and the hash of all."""
    last = len(factors) - 1
    chosen = ", ".join(f"{factors[round(last * part / 4)]:g}" for part in range(5))
    return f"{chosen} ({fingerprint(factors)})"


def _weights(training: Training) -> dict[str, Tensor]:
    student = training.student
    weights = {f"student.{name}": weight for name, weight in student.named_parameters() if weight.requires_grad}
    weights |= {f"student.{name}": buffer for name, buffer in student.named_buffers()}
    return weights | {f"signal.{i}": weight for i, weight in enumerate(training.objective.parameters)}


def _state(training: Training) -> dict[str, Tensor]:
    """Every tensor that a step changes."""
    return _weights(training) | {
        f"optimizer.{i}.{name}": moment
        for i, parameter in enumerate(_parameters(training))
        for name, moment in training.optimizer.state.get(parameter, {}).items()
    }


def _parameters(training: Training) -> list[nn.Parameter]:
    return [parameter for group in training.optimizer.param_groups for parameter in group["params"]]


def _whole(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, gathered where each process has a piece of it."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if is_sharded(tensor) else tensor).cpu().contiguous()


def _like(whole: Tensor, tensor: Tensor) -> Tensor:
    """This process's piece of a whole tensor, if `tensor` is one."""
    if not is_sharded(tensor):
        return whole
    return dist.tensor.distribute_tensor(whole.to(tensor.device), tensor.device_mesh, tensor.placements)
