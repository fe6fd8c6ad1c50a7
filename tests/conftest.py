import os

# Before anything imports Triton, which reads this once: kernels run in its interpreter, on any machine.
os.environ.setdefault("TRITON_INTERPRET", "1")
