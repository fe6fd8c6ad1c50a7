"""kd_lab: distilling generative language models, as one choice on each of three knobs."""
