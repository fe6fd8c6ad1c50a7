"""Lesson 02 · Word-level and sequence-level distillation."""
