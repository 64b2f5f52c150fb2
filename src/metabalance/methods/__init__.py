"""What this release offers, method by method: who published it, where it acts, in which symbol it lives.

Plain tables of facts, a file for each stage, that import nothing heavy, so that ``metabalance methods`` and
``metabalance cite`` answer at once. The method index of the documentation is written from them.
"""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from metabalance.methods import adjust, baseline, judge, loss, optimize, represent, sample, systems, weigh
from metabalance.methods.base import Method, Paper

__all__ = [
    "METHODS",
    "STAGES",
    "Method",
    "Paper",
    "UnknownName",
    "as_markdown",
    "bibtex",
    "get_method",
    "nearest",
]

STAGES = {
    "baseline": "What a remedy has to beat",
    "sample": "Which examples are seen",
    "weigh": "How much each one counts",
    "loss": "What a mistake costs",
    "represent": "Where examples land",
    "optimize": "How the parameters move",
    "adjust": "After training",
    "judge": "How well, and how sure",
    "systems": "Whole systems",
}

METHODS: tuple[Method, ...] = tuple(
    method
    for stage in (baseline, sample, weigh, loss, represent, optimize, adjust, judge, systems)
    for method in stage.METHODS
)
_BY_NAME = {method.name: method for method in METHODS}


class UnknownName(KeyError):
    """A name that is not in the table; the message is one sentence and gives the nearest names."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, quotes and escapes included.
        return str(self.args[0])


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownName: No such method; the nearest names are given.

    >>> get_method("focal").papers[0].short
    'Lin et al. 2017'
    """
    if name not in _BY_NAME:
        near = nearest(name, _BY_NAME)
        hint = f"did you mean {' or '.join(near)}?" if near else "`metabalance methods` lists them all"
        raise UnknownName(f"the method {name!r} is unknown; {hint}")
    return _BY_NAME[name]


def nearest(name: str, candidates: Iterable[Any], limit: int = 3) -> list[str]:
    """The candidates that look most like ``name``, best first; none when nothing comes close.

    >>> nearest("Focall", ["erm", "focal", "smote"])
    ['focal']
    """
    by_key = {str(candidate).casefold(): str(candidate) for candidate in candidates}
    wanted = str(name).casefold()
    close = get_close_matches(wanted, by_key, n=limit, cutoff=0.6)
    # Names that are cut short ("balanced") are near in meaning but far in edits.
    parts = [key for key in by_key if len(wanted) > 2 and wanted in key]
    return [by_key[key] for key in dict.fromkeys(close + parts)][:limit]


def bibtex(name: str) -> str:
    """BibTeX entries, plain ASCII, of all the papers a method rests on.

    Raises:
        UnknownName: No such method.

    >>> print(bibtex("smote").splitlines()[0])
    @article{chawla2002smote,
    """
    return "\n\n".join(_entry(paper) for paper in get_method(name).papers)


def _entry(paper: Paper) -> str:
    place = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}[paper.entry]
    fields = {
        # The inner braces keep the title's capitals.
        "title": "{" + _latex(paper.title) + "}",
        "author": " and ".join(_latex(author) for author in paper.authors),
        place: _latex(paper.venue),
        "volume": paper.volume,
        "pages": paper.pages and paper.pages.replace("-", "--"),
        "year": str(paper.year),
        "doi": paper.doi,
        "eprint": paper.arxiv,
        "archiveprefix": paper.arxiv and "arXiv",
        "url": paper.url,
    }
    body = ",\n".join(f"  {field:<13} = {{{value}}}" for field, value in fields.items() if value)
    return f"@{paper.entry}{{{paper.key},\n{body}\n}}"


def _latex(text: str) -> str:
    """Escapes what TeX reads as a command, and writes accents as commands."""
    accents = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030c": "v "}
    out: list[str] = []
    for char in unicodedata.normalize("NFD", text):
        if char in accents:
            out[-1] = f"{{\\{accents[char]}{out[-1]}}}"
        else:
            out.append(f"\\{char}" if char in "&%$#_" else "{\\l}" if char == "ł" else char)
    return "".join(out)


def as_markdown() -> str:
    """The method index as Markdown: a table for each stage, in the order a training example meets them."""
    lines = [
        "# Methods",
        "",
        "Written by `metabalance methods --markdown`; do not edit. `metabalance compare` accepts the names with a",
        "star: ★ where the target is classes, ☆ where it is values. So do `MetaBalanceClassifier(recipe=...)` and",
        "`MetaBalanceRegressor(recipe=...)`, except for the other models among the baselines.",
    ]
    for stage, meaning in STAGES.items():
        lines += ["", f"## {stage}: {meaning[0].lower()}{meaning[1:]}", ""]
        lines += ["| name | what it does | paper | in the code |", "|---|---|---|---|"]
        for method in METHODS:
            if method.stage == stage:
                papers = "; ".join(f"[{p.short}]({p.url})" if p.url else p.short for p in method.papers)
                where = ", ".join(f"`{symbol.replace(':', '.')}`" for symbol in method.symbols)
                stars = "".join({"classes": "★", "values": "☆"}[kind] for kind in method.kinds)
                star = f" {stars}" if method.recipe else ""
                what = " ".join((method.what, *method.notes))
                lines.append(f"| `{method.name}`{star} | {what} | {papers} | {where} |")
    return "\n".join(lines)
