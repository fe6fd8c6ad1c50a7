"""The softmax-KL in Triton. Triton is imported when a kernel is first asked for, so that all else works without it."""

__all__ = ["triton_softmax_kl"]


def __getattr__(name: str):
    if name == "triton_softmax_kl":
        from kd_lab.how.kernels.ops import triton_softmax_kl

        return triton_softmax_kl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
