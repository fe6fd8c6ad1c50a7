"""Models on disk: one safetensors file with the weights, the shape that they belong to and a checksum."""

import hashlib
import json
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.models.files import MODEL, cache_folder, write_file
from kd_lab.models.fingerprint import fingerprint
from kd_lab.models.gpt import GPT, GPTConfig

WEIGHTS = Path(__file__).parent / "weights"


@checked
def save_model(
    model: GPT, path: str | Path, *, facts: Mapping[str, object] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write a GPT to one safetensors file, whole or not at all.

    Args:
        model: its weights and its config are written.
        path: where to; the folder must exist.
        facts: notes for readers of the file, such as a measured loss; anything that JSON can say.
        dtype: store floating-point weights in this type (float16 halves the file) instead of the model's own.

    Raises:
        ValueError: the folder does not exist.
    """
    weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in model.state_dict().items()}
    about = {"config": asdict(model.config), "facts": dict(facts or {})}
    write_file(Path(path), save(weights, metadata=sealed(weights, about)), MODEL)


@checked
def load_model(path: str | Path) -> GPT:
    """Read a GPT that `save_model` wrote, in float32 and in eval mode.

    Raises:
        ValueError: the file is missing, damaged, of another kind, or its weights do not fit the shape that it names.
    """
    weights, about = read_tensors(Path(path))
    try:
        config = GPTConfig(**about["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} names no shape of a GPT ({error}); expected a file that save_model wrote"
        ) from error
    held, wanted = sum(map(Tensor.numel, weights.values())), config.matrix_numbers + config.vector_numbers
    if wanted > 2 * held:  # else the model is made, and the weight that does not fit is named
        raise ValueError(
            f"{str(path)!r} does not fit the shape that it names: {held:,} numbers came; expected {wanted:,} for "
            f"{config}. Write it again with save_model, or delete it"
        )
    model = GPT(config)
    _fill(model, weights, path)
    return model.eval()


def facts(path: str | Path) -> dict[str, object]:
    """The notes that the writer of a model file left in it.

    >>> sorted(facts(WEIGHTS / "surnames.safetensors"))[:2]
    ['held_out_bits_per_character', 'parameters']

    Raises:
        ValueError: as `load_model`.
    """
    return read_tensors(Path(path))[1].get("facts", {})


@checked
def load_teacher(name: str) -> GPT:
    """A teacher that ships with kd_lab, in eval mode.

    Args:
        name: "surnames", 0.8 million parameters trained on `kd_lab.worlds.surnames()`.

    Raises:
        ValueError: no teacher has this name, or its file is damaged.

    >>> load_teacher("surnames").config.width
    128
    """
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(repr(file.stem) for file in WEIGHTS.glob("*.safetensors")))
        raise ValueError(
            f"no teacher called {name!r} ships with kd_lab; expected one of: {known or 'none is installed'}"
        )
    return load_model(path)


@checked
def trained(
    name: str, build: Callable[[], nn.Module], train: Callable[[nn.Module], object], *, key: object = ()
) -> nn.Module:
    """A model that is trained once and read from the user's cache afterwards.

    A file that is read belongs to the same question: its name holds a `fingerprint` of the untrained model (its shape
    and its initial weights, so its seed), of `train` with its arguments and the variables that it uses, and of `key`.

    Args:
        name: a word or two for the file and the messages.
        build: makes the untrained model; it runs every time, so it should be quick.
        train: trains that model in place. Only one thing of what it returns is read: `interrupted`, as in the result of
            `distill`.
        key: all else that the result depends on: the world or batch, steps, recipe.

    Returns:
        The trained model in eval mode.

    Raises:
        ValueError: `train` or `key` holds something that has no stable hash.
        KeyboardInterrupt: the training was interrupted, also where `train` caught that; half a training is not kept.

    A damaged file is said to be damaged, and the model is trained again in its place.
    """
    model = build()
    stem = re.sub(r"[^\w-]+", "-", name)
    path = cache_folder() / f"{stem}-{fingerprint([model, train, key])}.safetensors"
    if path.is_file():
        try:
            _fill(model, read_tensors(path)[0], path)
            return model.eval()
        except ValueError as error:
            print(f"Training {name} again, since what was cached cannot be used: {error}")
    with uninterrupted():
        if getattr(train(model), "interrupted", False):
            raise KeyboardInterrupt
    weights = {key: weight.detach().cpu().contiguous() for key, weight in model.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, save(weights, metadata=sealed(weights, {})), MODEL)
    except OSError as error:
        warnings.warn(
            f"{name} is trained and could not be kept for next time ({error}); set KD_LAB_CACHE to a folder that can "
            "be written",
            stacklevel=2,
        )
    return model.eval()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block whose result is whole, or not there: Ctrl-C inside it ends it, at the latest where it would have ended.

    `distill` catches Ctrl-C and returns, and the code behind it would take half a training for a whole one.

    Raises:
        KeyboardInterrupt: it came while the block ran.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # Ctrl-C comes to another thread, or to none
        return
    came = []

    def note(*signalled: object) -> None:
        came.append(signalled)
        before(*signalled)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def sealed(weights: Mapping[str, Tensor], about: Mapping[str, object]) -> dict[str, str]:
    """The header of a model file: what it says of itself, and the checksum of that and of the weights."""
    return {key: json.dumps(value) for key, value in {**about, "sha256": checksum(weights, about)}.items()}


def checksum(weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> str:
    """SHA-256 over names, types, shapes and values of all tensors, and over what the file says of itself.

    To the file format alone a flipped bit is no error. Without `about` it is that of files before version 0.2, which
    held names and values only.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        kind = "" if about is None else f"{weights[name].dtype}{tuple(weights[name].shape)}"
        digest.update((name + kind).encode() + weights[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    if about is not None:
        digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and what the file says of itself, both checked.

    Raises:
        ValueError: the file is missing, damaged, or without the checksum of its tensors.
    """
    if not path.is_file():
        raise ValueError(f"there is no model file at {str(path)!r}; write one with save_model(model, path)")
    try:
        with safe_open(path, framework="pt") as file:
            about = {key: json.loads(text) for key, text in (file.metadata() or {}).items() if key != "format"}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged or no safetensors file ({error}); delete it and write or fetch it again"
        ) from error
    named = about.pop("sha256", None)
    if named not in (checksum(weights, about), checksum(weights)):
        raise ValueError(
            f"{str(path)!r} is damaged: what it holds does not have the checksum that it names; delete it and write or "
            "fetch it again"
        )
    return weights, about


def _fill(model: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy weights into a model of the same shape."""
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    came = {name: tuple(weight.shape) for name, weight in weights.items()}
    if expected != came:
        name = next(name for name in sorted({*expected, *came}) if expected.get(name) != came.get(name))
        raise ValueError(
            f"{str(path)!r} does not fit the model: {name} has shape {came.get(name, 'none')}; expected "
            f"{expected.get(name, 'no such weight')}. Load it with the config that it was saved with, or delete it"
        )
    model.load_state_dict(weights)
