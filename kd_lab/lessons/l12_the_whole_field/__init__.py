"""Lesson 12: every method of the course, and what the field added, trained in one world under one budget."""
