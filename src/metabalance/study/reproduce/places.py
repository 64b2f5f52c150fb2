"""Where the data of a claim's set-up lie: images, or a table with a continuous target."""

from pathlib import Path

from metabalance.study.reproduce import images, value_sets
from metabalance.study.reproduce.base import AnySetup
from metabalance.study.reproduce.values import ValueSetup

__all__ = ["at_hand", "is_here", "name_of", "refuse"]


def name_of(setup: AnySetup) -> str:
    """What a set-up runs on, in a word."""
    return setup.data.table if isinstance(setup, ValueSetup) else setup.data.images


def is_here(setup: AnySetup, folder: Path | None) -> bool:
    """Whether its data can be read."""
    if isinstance(setup, ValueSetup):
        return value_sets.is_there(setup.data.table, folder)
    return images.is_there(setup.data.images, folder)


def refuse(setup: AnySetup, folder: Path | None) -> None:
    """Says which files are missing.

    Raises:
        DataError: Always, where :func:`is_here` is False.
    """
    if isinstance(setup, ValueSetup):
        value_sets.open_values(setup.data.table, folder)
    else:
        images.open_source(setup.data.images, folder)


def at_hand(setup: AnySetup, folder: Path | None) -> AnySetup:
    """The lossy images in place of the official ones, where only they are there."""
    if isinstance(setup, ValueSetup) or setup.data.images != "cifar10":
        return setup
    lossy = not images.is_there("cifar10", folder) and images.is_there("cifar10-jpeg", folder)
    return setup.but(images="cifar10-jpeg") if lossy else setup
