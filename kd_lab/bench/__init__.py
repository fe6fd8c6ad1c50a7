"""Speed and memory in figures, each beside a baseline that ran in turns with it."""
