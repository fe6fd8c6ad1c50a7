"""One file a lesson: reference solutions with their explanation, and the checks that name a misconception."""
