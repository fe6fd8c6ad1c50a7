"""Lesson 13, a real LLM: what the lesson measured, held against what it says."""

import pytest
