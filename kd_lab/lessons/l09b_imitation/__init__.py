"""Lesson 09b · Imitation, and where its data come from."""
