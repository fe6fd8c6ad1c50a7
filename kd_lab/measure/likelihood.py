"""How well a model predicts texts: bits a character, on texts that it has not seen."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from kd_lab.models import evaluating
from kd_lab.worlds import Batch

ROWS_A_PASS = 1024


@torch.no_grad()
def bits_per_character(model: nn.Module, batch: Batch) -> float:
    """−(1/n) Σ log₂ q(token | prefix) over the n counted positions, the end mark being one of the characters.

    Args:
        model: tokens `[B, T]` to logits `[B, T, V]`; read in eval mode and put back.
        batch: the texts, usually `world.held_out`.

    Returns:
        Bits a character: log₂ V for a uniform guess, the entropy rate of the text for a perfect model.

    Raises:
        ValueError: no position of the batch counts.
    """
    counted = int(batch.mask.sum())
    if not counted:
        raise ValueError(f"none of the {batch.mask.numel()} positions counts; expected a batch with text to predict")
    nats = 0.0
    with evaluating(model):
        for start in range(0, len(batch), ROWS_A_PASS):
            part = batch[slice(start, start + ROWS_A_PASS)]
            logits = model(part.inputs)[part.mask]
            nats += cross_entropy(logits.double(), part.targets[part.mask], reduction="sum").item()
    return nats / counted / math.log(2)
