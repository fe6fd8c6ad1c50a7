"""Lesson 13: a real language model of 135 million weights, pruned and healed by distillation."""
