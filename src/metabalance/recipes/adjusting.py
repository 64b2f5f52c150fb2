"""Recipes whose idea acts after training."""

__all__: list[str] = []
