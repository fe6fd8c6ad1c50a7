"""The worth of a model on text: bits per character, calibration, variety and agreement."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from kd_lab.arguments import Model, checked
from kd_lab.models import next_token_logp, target_logp
from kd_lab.worlds import Batch


@checked
@torch.no_grad()
def calibration_error(model: Model, batch: Batch, bins: int = 10) -> float:
    """ECE = Σ_b (n_b/n)·|accuracy_b − confidence_b| of the likeliest next token, over bins of equal width.

    Args:
        batch: texts; every counted position is one prediction.
        bins: of confidence between 0 and 1.

    Returns:
        A number between 0 and 1; 0 where tokens predicted with 70 % are right 70 times in 100.

    Raises:
        ValueError: there is no bin, or no position of the batch counts.

    Source: Guo et al. (2017), arXiv:1706.04599, equation 3.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1")
    counted, logp = batch.counted(), next_token_logp(model, batch.inputs)
    batch = batch.to(logp.device)
    largest, predicted = logp[batch.mask].max(-1)
    confidence, right = largest.exp(), (predicted == batch.targets[batch.mask]).double()
    index = (confidence * bins).long().clamp_max(bins - 1)
    excess = torch.zeros(bins, dtype=torch.float64, device=right.device)
    excess = excess.index_add(0, index, right - confidence.double())
    return (excess.abs().sum() / counted).item()


@checked
@torch.no_grad()
def agreement(student: Model, teacher: Model, batch: Batch) -> float:
    """The share of counted positions at which both models find the same next token likeliest.

    It says nothing of how likely: two models may agree everywhere and be far apart as distributions.

    Args:
        student, teacher: tokens `[B, T]` to logits `[B, T, V]` over one vocabulary; read in eval mode and put back.
        batch: the prefixes; its targets are not read.

    Raises:
        ValueError: no position of the batch counts.

    >>> from kd_lab.models import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo")
    >>> agreement(TabularModel(echo.logp), TabularModel(echo.logp), echo.world(rows=8, seed=0).train)
    1.0

    Source: Stanton et al. (2021), arXiv:2106.05945.
    """
    mask, counted = batch.mask, batch.counted()
    likeliest = [next_token_logp(model, batch.inputs).argmax(-1).to(mask.device)[mask] for model in (student, teacher)]
    return int((likeliest[0] == likeliest[1]).sum()) / counted


@checked
def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Different character n-grams ÷ all n-grams of the texts: 1 where nothing repeats, near 0 where all say the same.

    It falls with the number of texts, so compare sets of one size only.

    Raises:
        ValueError: `n` is below 1, or no text is n characters long.

    Source: Li et al. (2016), arXiv:1510.03055, section 5.1, there for words.

    >>> distinct(["abab"], n=2)  # ab, ba, ab
    0.6666666666666666
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1, the number of characters of each n-gram")
    grams = [text[i : i + n] for text in texts for i in range(len(text) - n + 1)]
    if not grams:
        raise ValueError(f"none of {len(texts)} texts has {n} characters; expected longer texts, or a smaller n")
    return len(set(grams)) / len(grams)


Score = float | int | np.ndarray


@checked
def performance_gap_recovered(weak: Score, student: Score, ceiling: Score) -> Score:
    """PGR = (student − weak) / (ceiling − weak): the share of a gap that a student closes with a weak teacher's labels.

    Args:
        weak: the teacher's score, such as its accuracy on held-out texts, or one per run, [...].
        student: of the strong student that learned from the teacher's labels.
        ceiling: of the same student after the same training with true labels.

    Returns:
        0 for a student that is no better than its teacher, 1 for one as good as with true labels; below 0 for one that
        is worse than its teacher. One number per run.

    Raises:
        ValueError: the ceiling is not above the teacher, so that there is no gap to recover.

    >>> round(performance_gap_recovered(weak=0.7, student=0.85, ceiling=0.9), 3)
    0.75

    Source: Burns et al. (2023), arXiv:2312.09390.
    """
    gap = np.asarray(ceiling, dtype=np.float64) - weak
    if not (gap > 0).all():
        raise ValueError(
            f"ceiling is {ceiling} and weak is {weak}; expected a ceiling above the weak teacher in every run: scores "
            "are better where they are higher (negate a loss), and a student that true labels lift no higher than its "
            "teacher has no gap to recover"
        )
    recovered = (np.asarray(student, dtype=np.float64) - weak) / gap
    return recovered if recovered.ndim else float(recovered)


ROWS_PER_PASS = 1024
NUMBERS_PER_PASS = 1 << 26  # log-probabilities held at once: half a gibibyte


@checked
@torch.no_grad()
def bits_per_character(model: Model, batch: Batch) -> float:
    """−(1/n) Σ log₂ q(token | prefix) over the n counted positions, the end being one of the characters.

    Args:
        model: tokens `[B, T]` to logits `[B, T, V]`; read in eval mode on its own device and put back.
        batch: the texts, usually `world.held_out`.

    Returns:
        Bits per character: log₂ V for a uniform guess, the entropy rate of the text for a perfect model.

    Raises:
        ValueError: no position of the batch counts.
    """
    counted, nats = batch.counted(), 0.0
    rows = min(ROWS_PER_PASS, max(1, NUMBERS_PER_PASS // (model.vocab_size * batch.mask.shape[1])))
    for start in range(0, len(batch), rows):
        part = batch[slice(start, start + rows)]
        logp = target_logp(model, part, dtype=torch.float64)
        nats -= logp[part.mask.to(logp.device)].sum().item()
    return nats / counted / math.log(2)
