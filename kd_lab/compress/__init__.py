"""The model itself gets smaller: fewer bits a weight, fewer weights, and what a smaller model costs."""

__all__ = []
