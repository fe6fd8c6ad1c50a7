"""All that softmax_kl refuses, and what it says."""

from inspect import Parameter, signature, unwrap

import pytest
import torch

from kd_lab.how import softmax_kl, sparse_softmax_kl
from kd_lab.how.softmax_kl import SoftmaxKLOptions
from kd_lab.how.sparse import SparseOptions

WRONG = [
    ({"divergence": "kl"}, r"'kl'; expected one of 'forward_kl'"),
    ({"temperature": 0.0}, r"temperature is 0.0; expected a positive number"),
    ({"temperature": float("nan")}, r"temperature is nan"),
    ({"divergence": "jsd", "beta": 1.0}, r'use "reverse_kl"'),
    ({"divergence": "jsd", "beta": 0.0}, r'use "forward_kl"'),
    ({"divergence": "skew_kl", "beta": 0.0}, r'use "forward_kl"'),
    ({"divergence": "skew_reverse_kl", "beta": 1.0}, r'use "reverse_kl"'),
    ({"reduction": "batchmean"}, r"'batchmean'; expected one of 'mean'"),
    ({"reduction": "sum", "normalizer": 3}, r"drop the normalizer"),
    ({"normalizer": 0}, r"expected a positive number"),
    ({"labels": torch.zeros(3)}, r"dtype torch.float32; expected \(3,\) and integers"),
    ({"labels": torch.zeros(2, dtype=torch.long)}, r"labels have shape \(2,\)"),
    ({"labels": torch.tensor([0, 5, -100])}, r"labels run from 0 to 5; expected 0 … 4, or -100"),
    ({"labels": torch.tensor([0, 1, 2]), "label_weight": 2.0}, r"a share between 0 and 1"),
    ({"label_weight": 0.5}, r"there are no labels"),
    ({"weights": torch.ones(3, dtype=torch.long)}, r"weights has dtype torch.int64"),
    ({"weights": torch.ones(3, 1)}, r"shape \(3, 1\); expected floating point numbers, \(3,\)"),
    ({"normalizer": torch.ones(2)}, r"normalizer has shape \(2,\); expected one number"),
    ({"backend": "cuda"}, r"'cuda'; expected one of 'auto'"),
    ({"mask": torch.ones(3)}, r"torch.float32; expected torch.bool"),
    ({"mask": torch.ones(2, dtype=torch.bool)}, r"\(2,\); expected \(3,\)"),
    ({"teacher_logits": torch.zeros(3, 5, dtype=torch.long)}, r"teacher_logits has dtype torch.int64"),
    ({"student_logits": torch.zeros(3, 0), "teacher_logits": torch.zeros(3, 0)}, r"V ≥ 1"),
    ({"teacher_logits": torch.zeros(3, 5, device="meta")}, r"expected one device"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_refused_and_what_it_says(wrong, says):
    arguments = {"student_logits": torch.zeros(3, 5), "teacher_logits": torch.zeros(3, 5)} | wrong
    with pytest.raises(ValueError, match=says):
        unwrap(softmax_kl)(**arguments)  # as it is outside the tests, where nothing checks annotations


@pytest.mark.parametrize(
    ("options", "function"),
    [(SoftmaxKLOptions, softmax_kl), (SparseOptions, sparse_softmax_kl)],
    ids=["dense", "sparse"],
)
def test_options_that_are_handed_on_are_those_of_the_function(options, function):
    asked = {
        name: parameter.annotation
        for name, parameter in signature(unwrap(function)).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    }
    assert {name: str(kind) for name, kind in options.__annotations__.items()} == {
        name: str(kind) for name, kind in asked.items()
    }
