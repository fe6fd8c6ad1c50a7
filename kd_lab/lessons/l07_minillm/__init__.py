"""Lesson 07 · MiniLLM: the honest reverse-KL policy gradient."""
