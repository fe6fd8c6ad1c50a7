"""Speed and memory in figures, each beside a baseline of the same run; on the CPU losses, models, imports in turns."""
