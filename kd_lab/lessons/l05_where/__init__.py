"""Lesson 05 · WHERE: exposure bias and on-policy distillation."""
