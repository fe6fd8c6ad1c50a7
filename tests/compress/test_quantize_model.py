import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kd_lab.compress import load_quantized, matrices, quantize, save_quantized
from kd_lab.compress.integer import integer
from kd_lab.models import GPT, GPTConfig
from kd_lab.models.saved import checksum

TOKENS = torch.tensor([[0, 3, 1, 4, 2], [0, 1, 1, 2, 5]])


@pytest.fixture
def model():
    return GPT(GPTConfig(vocab_size=7, context=6, layers=2, heads=2, width=24), seed=3).eval()


@pytest.fixture
def uneven():
    """As pruning leaves it: fewer heads, and channels that no group of 32 divides."""
    return GPT(GPTConfig(vocab_size=7, context=6, layers=1, heads=1, width=24, head_width=12, channels=50)).eval()


def test_every_matrix_is_rounded_and_the_norms_are_not(model):
    quantized = quantize(model, 4, group=8)
    restored = quantized.restore()
    for name, weight in model.named_parameters():
        same = torch.equal(weight, restored.get_parameter(name))
        assert same == (weight.ndim == 1), name
    assert set(quantized.matrices) == {name for name, _ in matrices(model)}
    assert not restored.training


def test_the_model_that_was_read_stays_as_it_is(model):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    quantize(model, 2)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_eight_bits_are_close_and_fewer_are_further(model):
    with torch.no_grad():
        exact = model(TOKENS)
        gaps = [(quantize(model, bits, 8).restore()(TOKENS) - exact).abs().max().item() for bits in (8, 4, 2)]
    assert gaps[0] < 0.02 * exact.abs().max()
    assert gaps[0] < gaps[1] < gaps[2]


def test_bits_per_weight_counts_the_scales(model):
    assert quantize(model, 4, 8).bits_per_weight == 4 + 16 / 8
    assert quantize(model, 4, 8, symmetric=False).bits_per_weight == 4 + 20 / 8
    weights = sum(weight.numel() for _, weight in matrices(model))
    assert quantize(model, 3, "tensor").bits_per_weight == 3 + 16 * 10 / weights


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [8, 32, "channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shape", ["model", "uneven"])
def test_a_file_gives_back_the_same_bits(shape, bits, group, symmetric, tmp_path, request):
    quantized = quantize(request.getfixturevalue(shape), bits, group, symmetric)
    save_quantized(quantized, tmp_path / "small.safetensors")
    loaded = load_quantized(tmp_path / "small.safetensors")
    assert loaded.scheme == quantized.scheme
    assert loaded.config == quantized.config
    for name, weight in quantized.restore().state_dict().items():
        assert torch.equal(weight, loaded.restore().get_parameter(name)), name


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_file_is_as_large_as_its_bits_say(bits, tmp_path):
    large = GPT(GPTConfig(vocab_size=27, context=14, layers=2, heads=2, width=64))
    quantized = quantize(large, bits)
    save_quantized(quantized, tmp_path / "small.safetensors")
    weights = sum(weight.numel() for _, weight in matrices(large))
    norms = sum(weight.numel() for weight in large.parameters()) - weights
    content = quantized.bits_per_weight * weights / 8 + 4 * norms
    header = (tmp_path / "small.safetensors").stat().st_size - content
    assert 0 < header < 1000


@pytest.fixture
def file(model, tmp_path):
    save_quantized(quantize(model, 4), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def rewrite(file, change, **about):
    """The same file with other tensors or another description, its checksum in order."""
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, not a mapping
        metadata = opened.metadata()
    change(tensors)
    metadata |= {key: json.dumps(value) for key, value in about.items()}
    save_file(tensors, file, metadata=metadata | {"sha256": json.dumps(checksum(tensors))})


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no model file"):
        load_quantized(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        load_quantized(file)


def test_a_flipped_bit_is_refused(file):
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="checksum"):
        load_quantized(file)


def test_codes_of_another_length_are_refused(file):
    rewrite(file, lambda tensors: tensors.update(codes=tensors["codes"][:-1].clone()))
    with pytest.raises(ValueError, match=r"'codes' is .* numbers of torch.uint8; expected"):
        load_quantized(file)


def test_scales_of_another_type_are_refused(file):
    rewrite(file, lambda tensors: tensors.update(scales=tensors["scales"].float()))
    with pytest.raises(ValueError, match=r"'scales' is .* numbers of torch.float32; expected .* torch.float16"):
        load_quantized(file)


def test_a_missing_tensor_is_refused(file):
    rewrite(file, lambda tensors: tensors.pop("rest"))
    with pytest.raises(ValueError, match=r"'rest' is no tensor; expected"):
        load_quantized(file)


def test_weights_of_another_shape_than_the_file_names_are_refused(file, model):
    other = {**vars(model.config), "layers": 3}
    rewrite(file, lambda tensors: None, config=other)
    with pytest.raises(ValueError, match="does not hold the model that it names"):
        load_quantized(file)


@pytest.mark.parametrize("about", [{"scheme": {"bits": 1}}, {"scheme": None}, {"config": {"vocab_size": 7}}])
def test_a_description_that_is_none_is_refused(file, about):
    rewrite(file, lambda tensors: None, **about)
    with pytest.raises(ValueError, match="names no shape of a quantized GPT"):
        load_quantized(file)


@pytest.mark.parametrize("group", ["channel", "tensor"])
def test_integers_multiply_to_what_the_simulation_says(model, group):
    quantized = quantize(model, 8, group)
    with torch.no_grad():
        simulated, integers = quantized.restore()(TOKENS), integer(quantized)(TOKENS)
    assert not torch.equal(simulated, integers)  # the activations are rounded, too
    assert (simulated - integers).abs().max() < 0.05 * simulated.abs().max()


@pytest.mark.parametrize("arguments", [(8, 32), (4, "channel"), (8, "channel", False)])
def test_grids_that_no_integer_sum_can_use_are_refused(model, arguments):
    with pytest.raises(ValueError, match="expected 8 bits, symmetric"):
        integer(quantize(model, *arguments))
