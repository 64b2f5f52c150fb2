"""The ``metabalance`` command: thin, one function a command.

Nothing heavy is imported before a command needs it: ``metabalance --help`` answers at once.
"""

# In this order the help lists their commands.
from metabalance.cli import finding, judging, shipping, knowing  # noqa: F401  # isort: skip
from metabalance.cli.application import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: bad input is one sentence and exit status 2, Ctrl-C is 130."""
    app()
