"""The likelihood of texts: bits per character, on texts that the model has not seen."""

import math

import torch
from torch import nn

from kd_lab.models import target_logp
from kd_lab.worlds import Batch

ROWS_PER_PASS = 1024
NUMBERS_PER_PASS = 1 << 26  # log-probabilities held at once: half a gibibyte


@torch.no_grad()
def bits_per_character(model: nn.Module, batch: Batch) -> float:
    """−(1/n) Σ log₂ q(token | prefix) over the n counted positions, the end being one of the characters.

    Args:
        model: tokens `[B, T]` to logits `[B, T, V]`; read in eval mode on its own device and put back.
        batch: the texts, usually `world.held_out`.

    Returns:
        Bits per character: log₂ V for a uniform guess, the entropy rate of the text for a perfect model.

    Raises:
        ValueError: no position of the batch counts.
    """
    counted = int(batch.mask.sum())
    if not counted:
        raise ValueError(f"none of the {batch.mask.numel()} positions counts; expected a batch with text to predict")
    nats = 0.0
    rows = min(ROWS_PER_PASS, max(1, NUMBERS_PER_PASS // (model.vocab_size * batch.mask.shape[1])))
    for start in range(0, len(batch), rows):
        part = batch[slice(start, start + rows)]
        logp = target_logp(model, part, dtype=torch.float64)
        nats -= logp[part.mask.to(logp.device)].sum().item()
    return nats / counted / math.log(2)
