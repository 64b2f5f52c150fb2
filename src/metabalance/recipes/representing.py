"""Recipes whose idea is where examples land."""

__all__: list[str] = []
