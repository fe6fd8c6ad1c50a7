"""Lesson 08 · Stacking: quantization × pruning × distillation."""
