"""Recipes whose idea is how much each example counts."""

__all__: list[str] = []
