"""Lesson 01 · WHAT: logits, features, relations."""
