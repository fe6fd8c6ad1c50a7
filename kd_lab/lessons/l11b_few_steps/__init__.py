"""Lesson 11b: few steps, or how a diffusion sampler is distilled."""
