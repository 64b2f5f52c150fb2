"""The application: wrong usage and bad input are one sentence on stderr and status 2, whatever the command."""

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from metabalance import __version__


class _Commands(typer.core.TyperGroup):
    """Wrong usage is one line on stderr, like all other bad input, instead of typer's framed page."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        standalone_mode = kwargs.pop("standalone_mode", True)
        try:
            status = super().main(*args, **(kwargs | {"standalone_mode": False}))
        except Exception as error:
            if not (standalone_mode and hasattr(error, "format_message")):
                raise
            if error.format_message():  # empty when the help was asked for by giving nothing
                command = getattr(getattr(error, "ctx", None), "command_path", "metabalance")
                message = error.format_message().rstrip(".")
                _say(f"error: {message[:1].lower()}{message[1:]}; {command} --help tells what is allowed")
            sys.exit(INPUT_ERROR)
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status


app = typer.Typer(
    cls=_Commands,
    name="metabalance",
    help="Deep learning for imbalanced data: find the remedy that works on your table or your images, train it, ship it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

INPUT_ERROR, INTERRUPTED = 2, 130


def guarded(command: Callable) -> Callable:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            kept = "Finished fits are kept: run the same command again to go on."
            _say(
                f"Interrupted. {kept if command.__name__ in ('compare', 'demo', 'reproduce') else 'Nothing was written.'}"
            )
            raise typer.Exit(INTERRUPTED) from None
        except MemoryError:
            _say(
                "error: the data do not fit into memory; use fewer rows, columns or pixels, or a larger machine"
            )
            raise typer.Exit(INPUT_ERROR) from None
        except BrokenPipeError:  # the reader of a pipe has had enough: typer ends quietly
            raise
        except OSError as error:
            # What is foreseen names a cure; this is the rest: a full disk, a folder taken away.
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            _say(f"error: {where}{error.strerror}; check the disk and the permissions, then run again")
            raise typer.Exit(INPUT_ERROR) from None
        except (ValueError, KeyError) as error:
            if not _is_input_error(error):
                raise
            _say(f"error: {error.args[0] if error.args else error}")
            raise typer.Exit(INPUT_ERROR) from None

    return run


def _is_input_error(error: Exception) -> bool:
    from metabalance.data.errors import DataError
    from metabalance.methods import UnknownName

    return isinstance(error, (DataError, UnknownName))


def _say(text: str) -> None:
    from metabalance.study.terminal import visible

    print(visible(" ".join(text.split())), file=sys.stderr)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
