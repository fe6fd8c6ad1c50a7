"""Lesson 03b · HOW: between the KLs."""
