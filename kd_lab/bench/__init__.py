"""Speed and memory in figures, and the longer runs that lessons draw from."""
