"""The arms of the experiment: students of the same size that learn from the same texts, each in another way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kd_lab.how import Divergence, SparseTeacher
from kd_lab.how.sparse_file import load_sparse_teacher
from kd_lab.lessons.l13_real_llm.study import Study
from kd_lab.methods import Recipe, labels_only
from kd_lab.what import Heads, KeptLogits
from kd_lab.where import Corpus, Mixture

FULL, TOP, DRAWN, LABELS = "all logits", "top k and the rest", "samples", "labels only"
REVERSE, GKD, TEXT = "reverse KL", "GKD", "its text alone"
MAIN, SMALL, EVEN = "long", "15 layers", "evenly spaced"


@dataclass(frozen=True)
class Arm:
    """One student."""

    name: str
    recipe: Callable[[Study], Recipe]
    cache: str | None = None  # the file with what was kept of the teacher; None: the teacher reads along
    size: int = 0  # which of the budget's two depths
    share: int = 4  # the longest arm's tokens over this arm's
    rule: str = "measured"  # by which the layers to keep were chosen
    spoken: bool = False  # reads the teacher's own texts alone
    open_teacher: bool = True  # False: nothing but text is asked of it


def _kept(study: Study) -> Recipe:
    return Recipe("kept logits", KeptLogits(study.world.train), Divergence("forward_kl"), Corpus())


def _heads(divergence: str) -> Callable[[Study], Recipe]:
    return lambda study: Recipe(divergence, Heads(), Divergence(divergence), Corpus())


ARMS = (
    Arm(FULL, _heads("forward_kl")),
    Arm(TOP, _kept, cache="top_k"),
    Arm(DRAWN, _kept, cache="sampled"),
    Arm(LABELS, lambda study: labels_only(), open_teacher=False),
    Arm(MAIN, _kept, cache="top_k", share=1),
    Arm(TEXT, lambda study: labels_only(), spoken=True, open_teacher=False),
    Arm(REVERSE, _heads("reverse_kl")),
    Arm(GKD, lambda study: Recipe("GKD", Heads(), Divergence("jsd", beta=0.5), Mixture(0.5, otherwise=Corpus()))),
    Arm(SMALL, _kept, cache="top_k", size=1),
    Arm(EVEN, _kept, cache="top_k", rule="evenly"),
)
"""In the order in which they are trained. λ of GKD is ½: the student writes half of its batches."""


def teacher_of(arm: Arm, study: Study, folder: Path) -> object:
    """The object that the arm learns from: a model, a cache, or nothing."""
    if not arm.open_teacher:
        return None
    if arm.cache is None:
        return study.teacher
    return _cache(folder / f"{arm.cache}.safetensors")


def _cache(path: Path) -> SparseTeacher:
    return load_sparse_teacher(path)
