"""Lesson 11: a draft that guesses, a target that checks, and how to distil the draft."""
