"""From a view to a file: templates that escape whatever comes from data, and a policy that forbids the network."""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from metabalance.plain import visible
from metabalance.study.store import write_atomically

__all__ = ["write_page"]

TEMPLATES = Path(__file__).parent / "templates"


def write_page(template: str, view: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes a page, whole or not at all.

    Args:
        template: ``"comparison"`` or ``"single"``.
        view: The template's variables.
        path: The HTML file.

    Raises:
        DataError: The file cannot be written.
    """
    script = (TEMPLATES / "explorer.js").read_text(encoding="utf-8") if view.get("explorer") else ""
    page = _template(template).render(
        view,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=_policy(script),
        contents=Markup(MARK),
    )
    # A label that turns the reading direction could make a verdict read otherwise.
    page = visible(page.replace(MARK, _contents(page), 1))
    # A lone surrogate in a column name must not cost the reader the report.
    write_atomically(Path(path), page.encode("utf-8", "replace"))


MARK = "<!-- contents -->"


def _policy(script: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but ours, known by its hash."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _contents(page: str) -> str:
    """Links to the headings."""
    found = re.findall(r'<h2 id="([\w-]+)">(.*?)</h2>', page)
    items = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in found)
    return f'<nav class="contents" aria-label="Contents"><ul>{items}</ul></nav>'


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # column names and class labels are the user's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["soft"] = _soft
    return environment.get_template(f"{name}.html.j2")


def _soft(text: str) -> Markup:
    """Lets a long name break after its punctuation."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_,=|/.])|(?<=\w\()", text))
