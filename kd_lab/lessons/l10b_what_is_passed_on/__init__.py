"""Lesson 10b, what is passed on: model collapse, fidelity, subliminal learning, and watermarks."""
