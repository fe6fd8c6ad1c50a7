"""Speed and memory in figures, each beside a baseline from the same run; on the CPU losses, models and imports take turns."""
