"""Lesson 04b · HOW: bytes, limits and instructions."""
