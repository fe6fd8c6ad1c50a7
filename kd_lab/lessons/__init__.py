"""The lessons: a folder each, with its text, exercises, explorers and stored experiments."""
