"""The console of all commands: names from data cannot steer the terminal, nor hide what they are.

Column names, labels and file names are anybody's. Rich takes care of its own markup (``rich.markup.escape``) but lets
escape sequences through, with which a label could clear the screen, set the window's title or write over a verdict.
"""

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment

from metabalance.plain import visible

__all__ = ["Console"]


class Console(rich.console.Console):
    r"""Rich's console, which shows control characters instead of obeying them, and ``:smile:`` as it is written.

    >>> Console(width=40).print("label \x1b[2J, and \u202egnp.exe")
    label \x1b[2J, and \u202egnp.exe
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"emoji": False, **settings})

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Segments whose text holds no control characters but line ends."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
