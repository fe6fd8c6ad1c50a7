"""The kernels audited without a GPU: bytes moved, distance from fp64, registers and spills of the compiled code."""
