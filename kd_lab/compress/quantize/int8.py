"""An INT8 model that multiplies integers: torch's dynamic kernels for x86 (FBGEMM) and ARM (QNNPACK).

The weights' codes go into the kernel as they are. Activations are rounded when they arrive, with one scale per call.
On a processor without VNNI instructions torch keeps them to seven bits: a sum of two products then fits sixteen bits.

Of what torch 2.13 offers on a CPU without VNNI or AMX, this is the one path that was faster than float32: `_int_mm`
and the packed INT4 product fall back to a plain loop there. Torch has announced that the type of these weights will go;
where it is gone, `to_int8` says so.
"""

import warnings

import torch
from torch import Tensor, nn

from kd_lab.compress.quantize.model import QuantizedModel
from kd_lab.compress.quantize.rounding import QuantizedMatrix
from kd_lab.models import GPT


class Int8Linear(nn.Module):
    """x ↦ x Ŵᵀ in integers, for a matrix of 8-bit codes with one scale per output or one for all."""

    def __init__(self, matrix: QuantizedMatrix) -> None:
        super().__init__()
        outputs = len(matrix.codes)
        codes = (matrix.codes.to(torch.int16) - matrix.scheme.middle).to(torch.int8)
        scale = matrix.scale.double().flatten().expand(outputs)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*quantized tensor creation.*", category=UserWarning)
            tensor = torch._make_per_channel_quantized_tensor(
                codes, scale, torch.zeros(outputs, dtype=torch.long), axis=0
            )
        self.packed = torch.ops.quantized.linear_prepack(tensor, None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=True)


def to_int8(quantized: QuantizedModel) -> GPT:
    """A model whose blocks multiply in INT8; embeddings, attention scores and the head stay in float32.

    Raises:
        ValueError: the model is not in 8 bits, symmetric, per channel or per tensor, or this torch has no kernel.
    """
    scheme = quantized.scheme
    if scheme.bits != 8 or not scheme.symmetric or isinstance(scheme.group, int):
        raise ValueError(
            f"the model is rounded by {scheme}; expected 8 bits, symmetric, 'channel' or 'tensor': a scale that "
            "changes along the inputs cannot be taken out of an integer sum"
        )
    if not hasattr(torch, "_make_per_channel_quantized_tensor") or torch.backends.quantized.engine == "none":
        raise ValueError(f"torch {torch.__version__} has no INT8 kernel here; quantized.dequantize() simulates")
    model = quantized.dequantize()
    for number, block in enumerate(model.blocks):
        name = f"blocks.{number}"
        block.attention.query_key_value = Int8Linear(quantized.matrices[f"{name}.attention.query_key_value.weight"])
        block.attention.project = Int8Linear(quantized.matrices[f"{name}.attention.project.weight"])
        block.expand = Int8Linear(quantized.matrices[f"{name}.expand.weight"])
        block.contract = Int8Linear(quantized.matrices[f"{name}.contract.weight"])
    return model
