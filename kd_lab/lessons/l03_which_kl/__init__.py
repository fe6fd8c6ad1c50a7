"""Lesson 03 · HOW: which KL."""
