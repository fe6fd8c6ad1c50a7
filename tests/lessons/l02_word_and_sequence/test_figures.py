"""The pictures and tables of lesson 02 hold the numbers that they are given."""

import torch

from kd_lab.lessons.l02_word_and_sequence.figures import (
    bits_figure,
    decoding_figure,
    estimates_figure,
    optima_table,
    searches_figure,
    storage_table,
    summary_table,
    targets_figure,
)
from kd_lab.lessons.l02_word_and_sequence.trees import search_tree
from kd_lab.models import TabularModel
from kd_lab.worlds import Batch, language

ECHO = language("echo")


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_the_hook_counts_the_numbers_of_either_signal():
    model = TabularModel.uniform(len(ECHO.vocabulary), 6)
    assert titles(targets_figure(model, ECHO.vocabulary, "cxc")) == [
        "word level: 28 numbers",
        "sequence level: 4 numbers",
    ]


def test_every_letter_of_the_still_pictures_has_eight_points():
    seeds = {"names": [1.0, 2.0, 3.0], "teacher's samples": [1.0, 1.5, 2.0], "teacher's modes": [0.1, 0.2, 0.15]}
    echo, start = TabularModel(ECHO.logp), torch.tensor([0])
    errors = torch.randn(6, 2, dtype=torch.float64)
    pictures = [
        targets_figure(TabularModel.uniform(len(ECHO.vocabulary), 6), ECHO.vocabulary, "cxc"),
        estimates_figure(errors, [4, 16], 9.0),
        bits_figure(seeds, 3.0),
        decoding_figure(seeds, seeds),
        searches_figure({str(k): search_tree(echo, start, k, 6) for k in (1, 2)}, ECHO.vocabulary.symbols, 6),
    ]
    for figure in pictures:
        for axes in figure.axes:
            shown = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
            assert min(text.get_fontsize() for text in shown) >= 8


def test_the_tables_hold_their_numbers():
    assert "| top k | 18.0 | 50.0 |" in storage_table({"top k": 18.0}, {"top k": 50.0}, ("here", "there"))
    optima = optima_table({"bucket": torch.tensor([0.4])}, {"bucket": torch.tensor([0.2])}, 0.4)
    assert "| bucket | 0.400 | 0.400 | 0.200 |" in optima


def test_the_summary_counts_nodes_once():
    texts = Batch.from_tokens(torch.tensor([[0, 1, 2, 0], [0, 1, 3, 0]]), end=0)
    sizes = {"all logits": 54.0, "token ids": 2.0}
    bits = {"text, in process": [3.8], "text, over HTTP": [3.7], "probabilities": [3.6]}
    table = summary_table(texts, 27, sizes, (50_000, sizes), bits, [4.0, 9.0])
    assert "6 distributions, at 4 different nodes | 2 paths" in table
    assert "differ by 0.100 bits" in table
    assert "worth 0.20 bits" in table
    assert "is 6.0 times as large" in table
