"""Which way of training goes with which method: the step and the objective say what they need, here is what follows.

A step has an attribute ``needs``, some of the words of :data:`NEEDS`; what an objective needs is read from it. No
method is named: the table in the documentation and the refusals before training both follow from these words.
"""

from collections.abc import Iterable
from typing import Any

__all__ = ["NEEDS", "STRATEGIES", "asked_for", "check", "needs_of", "why_not"]

NEEDS: dict[str, str] = {
    "own_step": "it takes a step of its own for each batch",
    "bare": "it runs the bare network besides the ordinary pass, at other weights or for other gradients",
    "moves": "it moves the weights between two passes",
    "second_order": "it differentiates a gradient",
    "rows": "it keeps something of every training row",
    "features": "a penalty reads the features through a hook",
    "compares": "its loss compares the rows of a batch with one another",
    "parameters": "its loss has parameters of its own",
    "unknown": "its step does not say what it needs (give it an attribute needs, a set of words)",
}

# What each strategy cannot give. Everything else is given: under ddp, class shares, rows that are compared and
# per-row state are those of all processes together.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "ddp": (),
    "fsdp": ("bare", "moves", "second_order", "features", "parameters", "unknown"),
    "bf16-mixed": (),
    "accumulate": ("own_step", "compares", "unknown"),
    "compile": ("bare", "second_order", "features", "unknown"),
}


def asked_for(
    devices: int = 1, strategy: str = "auto", accumulate: int = 1, compile: bool = False
) -> list[str]:
    """The strategies that these settings ask for and that not everything goes with.

    >>> asked_for(devices=2, accumulate=4)
    ['ddp', 'accumulate']
    """
    asked = {
        "ddp": devices > 1,
        "fsdp": strategy == "fsdp",
        "accumulate": accumulate != 1,
        "compile": bool(compile),
    }
    return [name for name, wanted in asked.items() if wanted]


def needs_of(step: Any, objective: Any = None) -> frozenset[str]:
    """The words of :data:`NEEDS` that a step and its objective need.

    >>> from metabalance.engine import plain_step
    >>> sorted(needs_of(plain_step))
    []
    """
    found = set(getattr(step, "needs", ("unknown",)))
    modules = list(objective.modules()) if hasattr(objective, "modules") else []
    for module in modules:
        found |= set(getattr(module, "needs", ()))
    if any(getattr(module, "compares_rows", False) for module in modules):
        found.add("compares")
    if len(getattr(objective, "penalties", ())):
        found |= {"features", "compares"}
    if hasattr(objective, "parameters") and any(p.requires_grad for p in objective.parameters()):
        found.add("parameters")
    return frozenset(found)


def why_not(strategy: str, needs: Iterable[str]) -> str | None:
    """Why something with these needs cannot be trained in this way; None if it can.

    >>> why_not("accumulate", {"own_step"})
    'it takes a step of its own for each batch'
    """
    missing = [word for word in STRATEGIES[strategy] if word in needs]
    return NEEDS[missing[0]] if missing else None


def check(asked: Iterable[str], needs: Iterable[str], what: str = "this step") -> None:
    """Raises ValueError if one of the strategies asked for does not go with the needs."""
    needs = frozenset(needs)
    for strategy in asked:
        reason = why_not(strategy, needs)
        if reason is not None:
            good = [name for name in STRATEGIES if why_not(name, needs) is None]
            raise ValueError(
                f"{what} does not go with {strategy}: {reason}; leave {strategy} out (it goes with "
                f"{', '.join(good)}), or take another recipe"
            )
