"""Models on disk: one safetensors file with the weights, the shape that they belong to and a checksum."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from functools import partial
from inspect import getsource
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kd_lab.models.gpt import GPT, GPTConfig

WEIGHTS = Path(__file__).parent / "weights"


def save_model(
    model: GPT, path: str | Path, *, facts: Mapping[str, object] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write a GPT to one safetensors file, whole or not at all.

    Args:
        model: its weights and its config are written.
        path: where to; the folder must exist.
        facts: what a reader of the file should know, such as a measured loss; anything that JSON can say.
        dtype: store floating-point weights in this type (float16 halves the file) instead of the model's own.

    Raises:
        ValueError: the folder does not exist.
    """
    weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in model.state_dict().items()}
    about = {"config": asdict(model.config), "facts": dict(facts or {}), "sha256": checksum(weights)}
    write_file(Path(path), save(weights, metadata={key: json.dumps(value) for key, value in about.items()}))


def load_model(path: str | Path) -> GPT:
    """Read a GPT that `save_model` wrote, in float32 and in eval mode.

    Raises:
        ValueError: the file is missing, damaged, of another kind, or its weights do not fit the shape that it names.
    """
    weights, about = read_tensors(Path(path))
    try:
        model = GPT(GPTConfig(**about["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} names no shape of a GPT ({error}); expected a file that save_model wrote"
        ) from error
    _fill(model, weights, path)
    return model.eval()


def facts(path: str | Path) -> dict[str, object]:
    """What the writer of a model file noted in it.

    >>> sorted(facts(WEIGHTS / "surnames.safetensors"))[:2]
    ['held_out_bits_per_character', 'parameters']

    Raises:
        ValueError: as `load_model`.
    """
    return read_tensors(Path(path))[1].get("facts", {})


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


def cache_folder() -> Path:
    """Where trained models are kept between runs: `$KD_LAB_CACHE` if it is set, else the user's cache folder."""
    if named := os.environ.get("KD_LAB_CACHE"):
        return Path(named)
    from platformdirs import user_cache_dir  # comes with the course

    return Path(user_cache_dir("kd_lab", appauthor=False))


def trained(
    name: str, build: Callable[[], nn.Module], train: Callable[[nn.Module], object], *, key: object = ()
) -> nn.Module:
    """A model that is trained once and read from the user's cache afterwards.

    What is read belongs to the same question: the file's name holds a hash of the untrained model (its shape and its
    initial weights, so its seed), of the source text of `train` and of `key`.

    Args:
        name: a word or two for the file and the messages.
        build: makes the untrained model; cheap, since it runs every time.
        train: trains that model in place; what it returns is ignored.
        key: whatever else the result depends on: the world or batch, steps, recipe. Tensors, arrays, numbers, texts,
            dataclasses and containers of them.

    Returns:
        The trained model in eval mode.

    Raises:
        ValueError: `key` holds something that has no stable hash.

    A damaged file is said to be damaged, and the model is trained again in its place.
    """
    model = build()
    path = (
        cache_folder()
        / f"{name}-{fingerprint([type(model).__name__, model.state_dict(), source(train), key])}.safetensors"
    )
    if path.is_file():
        try:
            _fill(model, read_tensors(path)[0], path)
            return model.eval()
        except ValueError as error:
            print(f"Training {name} again, since what was cached cannot be used: {error}")
    train(model)
    weights = {key: weight.detach().cpu().contiguous() for key, weight in model.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, save(weights, metadata={"sha256": json.dumps(checksum(weights))}))
    except OSError as error:
        warnings.warn(
            f"{name} is trained and could not be kept for next time ({error}); set KD_LAB_CACHE to a folder that can "
            "be written",
            stacklevel=2,
        )
    return model.eval()


def source(function: Callable) -> str:
    """The source text of a function, so that an edited one does not find the old one's result; else its name."""
    try:
        return getsource(function)
    except (OSError, TypeError):
        return getattr(function, "__qualname__", type(function).__name__)


def fingerprint(value: object) -> str:
    """Sixteen hexadecimal digits that stay the same from run to run and differ where the values differ.

    >>> fingerprint({"steps": 300}) == fingerprint({"steps": 300}) != fingerprint({"steps": 301})
    True
    """
    digest = hashlib.sha256()
    for piece in _pieces(value):
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()[:16]


def _pieces(value: object) -> Iterable[bytes]:
    """A value as bytes, each piece after its type, so that 1 and "1" and [1] differ."""
    yield type(value).__name__.encode()
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous()
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif value is None or isinstance(value, (bool, int, float, complex, str, bytes, Path)):
        yield value if isinstance(value, bytes) else repr(value).encode()
    elif is_dataclass(value) and not isinstance(value, type):
        for field in value.__dataclass_fields__:
            yield from _pieces(field)
            yield from _pieces(getattr(value, field))
    elif isinstance(value, Mapping):
        for item in value.items():
            yield from _pieces(item)
    elif isinstance(value, (list, tuple)):
        yield str(len(value)).encode()
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, nn.Module):
        yield from _pieces(dict(value.state_dict()))
    elif isinstance(value, partial):
        yield from _pieces([value.func, value.args, value.keywords])
    elif callable(value):
        yield source(value).encode()
    else:
        raise ValueError(
            f"a {type(value).__name__} has no stable hash; expected tensors, arrays, numbers, texts, dataclasses, "
            "models, functions, or lists, tuples and dicts of them"
        )


def checksum(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over all tensors in order of name. To the file format alone, a flipped bit in a weight is no error."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].reshape(-1).view(torch.uint8).numpy().tobytes())
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
    if about.get("sha256") != checksum(weights):
        raise ValueError(
            f"{str(path)!r} is damaged: its weights do not have the checksum that the file names; delete it and write "
            "or fetch it again"
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


def write_file(path: Path, content: bytes) -> None:
    """All of the content or none of it: written beside the target and moved into its place in one step.

    Raises:
        ValueError: the folder does not exist.
    """
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as part:
        part.write(content)
    try:
        os.chmod(part.name, 0o644)  # a temporary file is private by default, a model need not be
        os.replace(part.name, path)
    except OSError:
        os.unlink(part.name)
        raise
