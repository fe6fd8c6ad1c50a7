"""Lesson 09 · Reasoning traces and reinforcement."""
