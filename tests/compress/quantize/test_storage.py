import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from kd_lab.compress.quantize import load_quantized, round_to_nearest, save_quantized
from kd_lab.compress.quantize.model import matrices
from kd_lab.compress.quantize.storage import pack, packed_bytes, unpack
from kd_lab.models import GPT, GPTConfig
from kd_lab.models.saved import checksum


@given(codes=st.lists(st.integers(0, 255), max_size=40), bits=st.integers(1, 8))
def test_packed_codes_come_back_and_take_their_bits(codes, bits):
    tensor = torch.tensor([code % 2**bits for code in codes], dtype=torch.uint8)
    stream = pack(tensor, bits)
    assert len(stream) == packed_bytes(len(codes), bits) == (len(codes) * bits + 7) // 8
    assert torch.equal(unpack(stream, bits, len(codes)), tensor)


def test_three_bits_are_a_little_endian_stream():
    # 5 = 101, 3 = 011, 6 = 110: from the lowest bit on 101 110 011 → 01 110 101 (bits 7…0: 10 011 101), then 1
    assert pack(torch.tensor([5, 3, 6], dtype=torch.uint8), 3).tolist() == [5 + 3 * 8 + (6 % 4) * 64, 6 // 4]


def test_codes_that_do_not_fit_and_streams_of_another_length_are_refused():
    with pytest.raises(ValueError, match="a code is 9; expected at most 7 in 3 bits"):
        pack(torch.tensor([9], dtype=torch.uint8), 3)
    with pytest.raises(ValueError, match="3 bytes came for 4 codes of 4 bits; expected 2"):
        unpack(torch.zeros(3, dtype=torch.uint8), 4, 4)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [8, 32, "channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shape", ["model", "uneven"])
def test_a_file_gives_back_the_same_bits(shape, bits, group, symmetric, tmp_path, request):
    quantized = round_to_nearest(request.getfixturevalue(shape), bits, group, symmetric)
    save_quantized(quantized, tmp_path / "small.safetensors")
    loaded = load_quantized(tmp_path / "small.safetensors")
    assert loaded.scheme == quantized.scheme
    assert loaded.config == quantized.config
    for name, weight in quantized.dequantize().state_dict().items():
        assert torch.equal(weight, loaded.dequantize().get_parameter(name)), name


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_file_is_as_large_as_its_bits_say(bits, tmp_path):
    large = GPT(GPTConfig(vocab_size=27, context=14, layers=2, heads=2, width=64))
    quantized = round_to_nearest(large, bits)
    save_quantized(quantized, tmp_path / "small.safetensors")
    weights = sum(weight.numel() for _, weight in matrices(large))
    norms = sum(weight.numel() for weight in large.parameters()) - weights
    content = quantized.bits_per_weight * weights / 8 + 4 * norms
    header = (tmp_path / "small.safetensors").stat().st_size - content
    assert 0 < header < 1000


@pytest.fixture
def file(model, tmp_path):
    save_quantized(round_to_nearest(model, 4), tmp_path / "small.safetensors")
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
    for change in ({"layers": 3}, {"context": 10**15}):  # no machine has room for the second
        rewrite(file, lambda tensors: None, config={**vars(model.config), **change})
        with pytest.raises(ValueError, match="does not hold the model that it names"):
            load_quantized(file)


@pytest.mark.parametrize("about", [{"scheme": {"bits": 1}}, {"scheme": None}, {"config": {"vocab_size": 7}}])
def test_a_description_that_is_none_is_refused(file, about):
    rewrite(file, lambda tensors: None, **about)
    with pytest.raises(ValueError, match="names no shape of a quantized GPT"):
        load_quantized(file)
