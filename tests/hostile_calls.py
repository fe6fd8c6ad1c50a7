"""Bad arguments for every public function and class: `python tests/hostile_calls.py [PART …]` prints what fell.

One argument at a time is bad and the others are good. A call may succeed, or raise a ValueError or TypeError that a
line of the library raises on purpose; any other error, or one that arises in somebody else's code, has fallen. It runs
as a program of its own, where no hook checks types.
"""

import argparse
import contextlib
import inspect
import io
import os
import signal
import sys
import tempfile
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import kd_lab
from kd_lab.compress import cost, prune, quantize
from kd_lab.contracts import stream
from kd_lab.how import Divergence, softmax_kl, top_k
from kd_lab.how.sparse_file import save_sparse_teacher
from kd_lab.methods import NonFiniteLoss, hinton
from kd_lab.models import GPT, FiniteStateModel, GPTConfig, save_model
from kd_lab.what import Logits
from kd_lab.where import Corpus, TeacherRollouts
from kd_lab.worlds import World, language

PACKAGES = (
    "worlds",
    "models",
    "what",
    "how",
    "where",
    "methods",
    "measure",
    "compress.cost",
    "compress.prune",
    "compress.quantize",
)
SECONDS, WAITING = 10.0, 120.0
"""A call that works longer, or waits so long, hangs; on the wall alone a busy machine would let many hang."""


class Refuser:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def endless() -> Iterator[int]:
    while True:
        yield 0


def ring() -> list:
    inside: list = []
    inside.append(inside)
    return inside


def bad() -> dict[str, Any]:
    """What nobody should pass, fresh for each call."""
    nan, inf = float("nan"), float("inf")
    scalars = [None, nan, inf, -inf, -1, 0, -0.5, 0.5, 10**30, 10**400, 1e300, True, 2j, "", "text", "a\0b", b"x"]
    things = [[], [None], ["a"], {}, {"a": None}, set(), (), ring(), object(), Refuser(), GPT, int, World, len, print]
    tensors = [
        torch.empty(0),
        torch.tensor(0.5),
        torch.tensor(nan),
        torch.full((2, 3), nan),
        torch.full((2, 3), inf),
        torch.zeros(2, 3, dtype=torch.long),
        torch.full((2, 3), -7),
        torch.full((2, 3), 10**6),
        torch.ones(2, 3, dtype=torch.bool),
        torch.zeros(1, 1),
        torch.zeros(7, 7, 7, 7),
        torch.zeros(0, 5),
        torch.zeros(2, 0),
        torch.zeros(2, 3).to_sparse(),
        torch.zeros(2, 3, device="meta"),
        torch.zeros(2, 3, dtype=torch.complex64),
        torch.zeros(2, 3, dtype=torch.float16),
        np.zeros((2, 3)),
        np.array(["a"]),
    ]
    modules = [
        nn.Linear(2, 2),
        nn.Identity(),
        torch.Generator(),
        torch.float64,
        torch.device("meta"),
        Path("/nowhere/x"),
    ]
    return {f"{i} {type(value).__name__}": value for i, value in enumerate([*scalars, *things, *tensors, *modules])}


# ---- good arguments --------------------------------------------------------------------------------------------------

FOLDER = Path(tempfile.mkdtemp())
LINEAR = nn.Linear(2, 1)
SPOKEN = language("brackets")
WORLD = SPOKEN.world(rows=24, seed=0)
V = len(WORLD.vocabulary)
SHAPE = GPTConfig(vocab_size=V, context=WORLD.context, layers=2, heads=2, width=16)
TEXTS = FOLDER / "texts.txt"
TEXTS.write_text("\n".join(f"text {i}" for i in range(30)), encoding="utf-8")
save_model(GPT(SHAPE), FOLDER / "model.safetensors")


def gpt() -> GPT:
    return GPT(SHAPE, seed=1)


def states() -> FiniteStateModel:
    return FiniteStateModel(torch.randn(2, 3).log_softmax(-1), torch.tensor([[0, 1, 0], [1, 0, 1]]), context=4)


def tables() -> list[torch.Tensor]:
    return [torch.randn(3**t, 3).log_softmax(-1) for t in range(3)]


def scores() -> dict[str, torch.Tensor]:
    return prune.magnitude(gpt())


def logits(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(*shape)


def logp(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(*shape).log_softmax(-1)


def matrix() -> quantize.QuantizedMatrix:
    return quantize.round_matrix(torch.randn(4, 32), quantize.Scheme(8, "channel"))


def cached() -> Any:
    return top_k(torch.randn(2, 3, 5), 2)


GOOD: dict[str, Any] = {
    # by the name of the parameter
    "name": lambda: "echo",
    "tokens": lambda: torch.zeros(2, 4, dtype=torch.long),
    "mask": lambda: torch.ones(2, 3, dtype=torch.bool),
    "vocabulary": lambda: WORLD.vocabulary,
    "train": lambda: WORLD.train,
    "held_out": lambda: WORLD.held_out,
    "symbols": lambda: ".ab",
    "path": lambda: TEXTS,
    "config": lambda: SHAPE,
    "model": gpt,
    "first": gpt,
    "second": gpt,
    "share": lambda: 0.5,
    "table": lambda: torch.randn(2, 3).log_softmax(-1),
    "moves": lambda: torch.tensor([[0, 1, 0], [1, 0, 1]]),
    "vocab_size": lambda: 3,
    "context": lambda: 4,
    "tables": tables,
    "prompts": lambda: torch.zeros(2, 1, dtype=torch.long),
    "max_new_tokens": lambda: 2,
    "generator": lambda: torch.Generator().manual_seed(0),
    "batch": lambda: WORLD.train[:4],
    "tokenizer": lambda: WORLD.vocabulary,
    "texts": lambda: WORLD.train,
    "student_logits": logits(2, 3, 5),
    "logits": logits(2, 3, 5),
    "teacher_logits": logits(2, 3, 5),
    "student_logp": logp(2, 3, 5),
    "teacher_logp": logp(2, 3, 5),
    "values": logits(2, 3),
    "student_hidden": logits(2, 3, 4),
    "teacher_hidden": logits(2, 3, 6),
    "student_weight": logits(5, 4),
    "teacher_weight": logits(5, 6),
    "k": lambda: 2,
    "ids": lambda: torch.tensor([[0, 1], [2, 1]]),
    "logp": lambda: torch.tensor([[-1.0, -2.0], [-2.0, -3.0]]),
    "tail": lambda: "bucket",
    "teacher": gpt,
    "student": gpt,
    "world": lambda: WORLD,
    "recipe": hinton,
    "what": Logits,
    "how": Divergence,
    "where": Corpus,
    "length": lambda: 3,
    "weight": lambda: torch.randn(4, 32),
    "scheme": lambda: quantize.Scheme(8, "channel"),
    "bits": lambda: 8,
    "scores": scores,
    "ranges": lambda: quantize.calibrate(gpt(), WORLD.train[:4]),
    "keep": lambda: prune.select_structures(gpt(), scores(), heads=1, channels=8),
    "masks": lambda: prune.unstructured_masks(scores(), 0.5),
    "quantized": lambda: quantize.round_to_nearest(gpt(), 8, "channel"),
    "inputs": logits(9, 32),
    "loss": logits(2, 3),
    "history": lambda: {"loss": np.zeros(2)},
    "width": lambda: 2,
    "prompt": lambda: torch.zeros(1, dtype=torch.long),
    "teacher_ids": lambda: torch.tensor([[0, 1], [2, 1]]),
    "group": lambda: None,
    "sparsity": lambda: 0.5,
}
SPECIAL: dict[str, dict[str, Callable[[], Any]]] = {
    # and by the function where that is not enough
    "worlds.Batch": {"mask": lambda: torch.ones(2, 3, dtype=torch.bool)},
    "worlds.Language": {"logp": lambda: SPOKEN.logp, "vocabulary": lambda: SPOKEN.vocabulary},
    "worlds.Mixture1D": {"weights": lambda: [0.5, 0.5], "means": lambda: [0.0, 1.0], "widths": lambda: [1.0, 1.0]},
    "worlds.Mixture2D": {
        "weights": lambda: [0.5, 0.5],
        "means": lambda: [[0.0, 0.0], [1.0, 1.0]],
        "widths": lambda: [1.0, 1.0],
    },
    "models.TabularModel": {"tables": lambda: SPOKEN.logp},
    "models.load_model": {"path": lambda: FOLDER / "model.safetensors"},
    "models.load_teacher": {"name": lambda: "surnames"},
    "models.save_model": {"path": lambda: FOLDER / "saved.safetensors"},
    "models.trained": {"build": lambda: gpt, "train": lambda: print_nothing, "name": lambda: "hostile"},
    "models.target_logp": {},
    "how.SparseTeacher": {"vocabulary": lambda: 5},
    "how.k1": {"student_logp": logp(2, 3), "teacher_logp": logp(2, 3)},
    "how.k2": {"student_logp": logp(2, 3), "teacher_logp": logp(2, 3)},
    "how.k3": {"student_logp": logp(2, 3), "teacher_logp": logp(2, 3)},
    "how.Statistics": {
        name: logits(2, 3) for name in ("student_entropy", "teacher_entropy", "agreement", "acceptance")
    },
    "how.load_sparse_teacher": {"path": lambda: FOLDER / "cache.safetensors"},
    "how.save_sparse_teacher": {"path": lambda: FOLDER / "cache.safetensors", "teacher": cached},
    "how.sparse_softmax_kl": {
        "student_logits": logits(2, 5),
        "teacher_logp": lambda: torch.tensor([[-1.0, -2.0], [-2.0, -3.0]]),
    },
    "how.sparse_teacher_kl": {"teacher": cached},
    "how.vocab_parallel_softmax_kl": {"student_logits_shard": logits(2, 3, 5), "teacher_logits_shard": logits(2, 3, 5)},
    "where.Hypothesis": {"tokens": lambda: (0, 1), "logp": lambda: -1.0, "score": lambda: -1.0, "ended": lambda: True},
    "where.Step": {"kept": tuple, "cut": tuple},
    "where.TextTeacher": {"base_url": lambda: "http://127.0.0.1:9/v1", "model": lambda: "m"},
    "where.rollout": {"generator": lambda: stream(0, "x")},
    "where.teacher_texts": {"where": lambda: TeacherRollouts(size=3), "seed": lambda: 0},
    "methods.distill": {"steps": lambda: 1, "batch_size": lambda: 4, "progress": lambda: False},
    "methods.Recipe": {"name": lambda: "mine"},
    "measure.distinct": {"texts": lambda: ["abc", "abd"]},
    "measure.every_text": {"length": lambda: 3},
    "measure.conditionals": {"length": lambda: 2},
    "measure.exact_excess_error": {"student": tables, "teacher": tables},
    "measure.excess_error": {"on_student_prefixes": logits(3), "on_teacher_prefixes": logits(3)},
    "measure.gap_by_pair": {"student": states, "teacher": states},
    "measure.gap_by_position": {"student": tables, "teacher": tables, "visited": tables},
    "measure.gradient_angle": {"one": logits(3), "other": logits(3)},
    "measure.gradient_of": {"model": lambda: LINEAR, "loss": lambda: LINEAR(torch.ones(2)).sum()},
    "measure.mean_and_variance": {"gradients": logits(3, 4), "probabilities": lambda: torch.full((3,), 1 / 3)},
    "measure.mean_interval": {"values": lambda: [1.0, 2.0, 4.0]},
    "measure.pair_reach": {"writer": states, "reader": states},
    "measure.root_mean_square_error": {"bias": lambda: 0.1, "variance": lambda: 1.0, "samples": lambda: 4},
    "measure.sequence_kl": {"student": tables, "teacher": tables},
    "models.speculate": {"target": gpt, "draft": gpt, "prompt": lambda: torch.zeros(1, dtype=torch.long)},
    "methods.grpo": {
        "reward": lambda: lambda texts: torch.ones(len(texts)),
        **{name: lambda: 2 for name in ("steps", "problems", "group_size")},
        "progress": lambda: False,
    },
    "methods.group_advantages": {"rewards": logits(2, 3)},
    "measure.pass_at_k": {"right": lambda: torch.tensor([0, 1, 3]), "drawn": lambda: 4},
    "worlds.moves": {"rows": lambda: 3, "held_out": lambda: 2},
    "worlds.verify": {"text": lambda: "47t9=132"},
    "compress.cost.Cost": {
        name: lambda: 8 for name in ("parameters", "bits", "work", "cache_traffic", "batch_size", "layers")
    },
    "compress.cost.factors": {
        "new": lambda: cost.token_cost(SHAPE, bits=16),
        "old": lambda: cost.token_cost(SHAPE, bits=16),
    },
    "compress.cost.Device": {"bandwidth": lambda: 1e9, "peak": lambda: 1e12, "launch": lambda: 1e-6},
    "compress.cost.roofline": {
        "cost": lambda: cost.token_cost(SHAPE, bits=16),
        "device": lambda: cost.Device(1e9, 1e12, 1e-6),
    },
    "compress.cost.bottleneck": {
        "cost": lambda: cost.token_cost(SHAPE, bits=16),
        "device": lambda: cost.Device(1e9, 1e12, 1e-6),
    },
    "compress.prune.Structures": {"layers": lambda: (0,), "heads": lambda: ((0,),), "channels": lambda: ((0, 1),)},
    "compress.quantize.Int8Linear": {"matrix": matrix},
    "compress.quantize.QuantizedMatrix": {
        "codes": lambda: matrix().codes,
        "scale": lambda: matrix().scale,
        "zero_point": lambda: matrix().zero_point,
    },
    "compress.quantize.QuantizedModel": {
        name: (lambda name=name: getattr(quantize.round_to_nearest(gpt(), 8, "channel"), name))
        for name in ("scheme", "matrices", "rest")
    },
    "compress.quantize.convert_qat": {"student": lambda: quantize.prepare_qat(gpt(), 8, "channel")},
    "compress.quantize.load_quantized": {"path": lambda: FOLDER / "quantized.safetensors"},
    "compress.quantize.save_quantized": {"path": lambda: FOLDER / "quantized.safetensors"},
    "compress.quantize.inject_outlier": {"channel": lambda: 0, "factor": lambda: 2.0},
    "compress.quantize.gptq": {"group": lambda: "channel"},
    "compress.quantize.prepare_qat": {"group": lambda: "channel"},
    "compress.quantize.round_to_nearest": {"group": lambda: "channel"},
    "compress.cost.token_cost": {"bits": lambda: 16.0},
    "compress.cost.bits_per_parameter": {"group": lambda: "channel"},
}


def print_nothing(*_: Any) -> None:
    pass


CALLED = {"schedule", "evaluate", "on_step", "divergence", "build", "train", "clean", "reward"}
"""Arguments that the library calls."""

UNTRIED = {
    "models.HuggingFace": "needs transformers; tests/models/test_hugging_face.py",
    "methods.NonFiniteLoss": "an exception",
}


def public(part: str) -> dict[str, Callable[..., Any]]:
    """The functions and classes that a package hands out."""
    package = import_module(f"kd_lab.{part}")
    own = [n for n, v in vars(package).items() if getattr(v, "__module__", "") == package.__name__ and n[0] != "_"]
    found = {name: getattr(package, name) for name in getattr(package, "__all__", own)}
    return {n: v for n, v in found.items() if isinstance(v, type | types.FunctionType) and f"{part}.{n}" not in UNTRIED}


def good(place: str, function: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
    """A good value for each argument that is needed, and for those that may be left out where SPECIAL has one."""
    special, found = SPECIAL.get(place, {}), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in special:
            found[name] = special[name]
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = GOOD[name]
    return found


def names_of(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    options = [name for name in inspect.signature(softmax_kl).parameters if "logits" not in name]
    own = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return own + options * any(p.kind is p.VAR_KEYWORD for p in parameters)


def ours(error: BaseException) -> bool:
    """A ValueError or TypeError that a line of the library raises, and not one that arises under it."""
    if isinstance(error, NonFiniteLoss):
        return True
    if type(error) not in (ValueError, TypeError) and not isinstance(error, ConnectionError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith(str(Path(kd_lab.__file__).parent)) and "raise" in statement(last)


def statement(last: traceback.FrameSummary) -> str:
    """The source line of a frame, or of the statement that it belongs to."""
    lines = Path(last.filename).read_text(encoding="utf-8").splitlines()
    return "".join(lines[max(0, last.lineno - 8) : last.lineno])


class Hangs(BaseException):
    pass


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """None where a call held, else what happened."""

    def alarm(*_: Any) -> None:
        raise Hangs

    limits = ()  # Windows has no timers: a call that hangs is ended by whoever started this program
    if hasattr(signal, "setitimer"):
        limits = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, WAITING))
    for sent, timer, seconds in limits:
        signal.signal(sent, alarm)
        signal.setitimer(timer, seconds)
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(**arguments)
            if hasattr(result, "__enter__") and not isinstance(result, torch.Tensor):
                with result:
                    pass
    except Hangs:
        return "hangs"
    except Exception as error:
        if ours(error):
            return None
        last = traceback.extract_tb(error.__traceback__)[-1]
        try:
            said = str(error)[:90].replace("\n", " ")
        except Exception:
            said = "?"
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {said}"
    finally:
        for _, timer, _ in limits:
            signal.setitimer(timer, 0)
    return None


def main(parts: list[str], every: int, verbose: bool) -> int:
    tried, fell = Counter(), Counter()
    quantize.save_quantized(quantize.round_to_nearest(gpt(), 8, "channel"), FOLDER / "quantized.safetensors")
    save_sparse_teacher(cached(), FOLDER / "cache.safetensors")
    os.environ["KD_LAB_CACHE"] = str(FOLDER / "cache")
    os.chdir(FOLDER)  # where a name that is a path after all does no harm
    for part in parts:
        for name, function in public(part).items():
            place = f"{part}.{name}"
            values = good(place, function)
            if (broken := outcome(function, {key: make() for key, make in values.items()})) is not None:
                print(f"{place}: the good call fails: {broken}")
            for argument in names_of(function):
                for kind in list(bad())[len(place + argument) % every :: every]:
                    if argument in CALLED and callable(bad()[kind]):
                        continue  # a function of the caller's that breaks shows its own error
                    torch.manual_seed(0)
                    arguments = {key: make() for key, make in values.items()} | {argument: bad()[kind]}
                    tried[part] += 1
                    if (what := outcome(function, arguments)) is not None:
                        fell[part] += 1
                        if verbose:
                            print(f"{place}({argument}={kind}): {what}")
    for part in parts:
        print(f"{part}: {tried[part]} tried, {fell[part]} fell")
    print(f"all: {sum(tried.values())} tried, {sum(fell.values())} fell")
    return int(sum(fell.values()) > 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("parts", nargs="*", help="such as how or compress.prune; all by default")
    options.add_argument("--every", type=int, default=1, help="try one in so many bad arguments")
    options.add_argument("-v", action="store_true", help="print each call that fell")
    given = options.parse_args()
    sys.exit(main(given.parts or list(PACKAGES), given.every, given.v))
