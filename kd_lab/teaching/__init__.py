"""A teacher's part, beside the lessons: a graded class, and a pack of plans, questions and slides.

A lesson's own teaching notes are `teaching.md` in its folder. Learners never read this package.
"""
