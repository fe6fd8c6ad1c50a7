"""Lesson 00 · The map: an LLM is a tree of distributions."""
