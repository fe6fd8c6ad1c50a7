"""Lesson 10 · Weak to strong, and the capacity gap."""
