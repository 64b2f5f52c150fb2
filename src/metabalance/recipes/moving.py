"""Recipes whose idea is how the parameters move."""

__all__: list[str] = []
