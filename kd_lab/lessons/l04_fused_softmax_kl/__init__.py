"""Lesson 04 · HOW: a fused softmax-KL in Triton."""
