"""Lesson 06 · GKD: two orthogonal knobs."""
