"""A comparison as one HTML page: ``render_report(result, path)``.

The page needs no network and no scripts, follows the reader's light or dark theme, and prints.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from metabalance.study.report.view import build_view
from metabalance.study.store import write_atomically

__all__ = ["render_report"]


def render_report(result: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a comparison, whole or not at all.

    Args:
        result: What ``metabalance.study.summary.summarise`` returns. Parts that a comparison has not got may
            be absent (curves, differences, findings, costs); a metric that is NaN or None is shown as
            undefined.
        path: The HTML file.

    Raises:
        DataError: The file cannot be written.
    """
    page = _template().render(build_view(result))
    # A lone surrogate in a column name must not cost the reader the report.
    write_atomically(Path(path), page.encode("utf-8", "replace"))


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # column names and class labels are the user's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["soft"] = _soft
    return environment.get_template("template.html.j2")


def _soft(text: str) -> Markup:
    """Lets a long name break after its punctuation."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_,=|/.])|(?<=\w\()", text))
