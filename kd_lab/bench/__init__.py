"""Speed and memory in figures, each beside a baseline from the same run; on the CPU losses, models, imports in turns."""
