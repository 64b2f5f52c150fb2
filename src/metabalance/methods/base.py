"""A paper, a method, and the two short ways to write one down."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paper:
    """A publication; ``entry`` is its BibTeX type, ``venue`` its journal, conference or archive."""

    key: str
    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    entry: str = "inproceedings"
    volume: str | None = None
    pages: str | None = None
    arxiv: str | None = None
    doi: str | None = None

    @property
    def short(self) -> str:
        """Authors and year as in running text.

        >>> Paper("wilson1927probable", "T", ("Edwin B. Wilson",), 1927, "V").short
        'Wilson 1927'
        """
        names = [author.rsplit(" ", 1)[-1] for author in self.authors]
        who = names[0] if len(names) == 1 else " & ".join(names) if len(names) == 2 else f"{names[0]} et al."
        return f"{who} {self.year}"

    @property
    def url(self) -> str | None:
        """The page on arXiv, else the DOI's, else None."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None


@dataclass(frozen=True)
class Method:
    """One method of this release.

    ``title``, ``authors``, ``year``, ``venue``, ``arxiv`` and ``doi`` are those of the first paper.

    Args:
        name: The name on the command line.
        stage: One of ``STAGES``.
        what: What it does, in one plain sentence.
        papers: The paper it comes from, then those it also rests on.
        symbols: Where it lives, as ``"module:Name"``.
        recipe: Whether ``metabalance compare`` accepts the name; the estimators do too, baselines apart.
        modality: What it applies to: ``"any"``, ``"numeric"`` (points that can be interpolated or clustered),
            ``"table"`` or ``"image"``.
        notes: What else one should know, a sentence each.
        kinds: The kinds of target a recipe is for: ``"classes"``, ``"values"`` or both.
    """

    name: str
    stage: str
    what: str
    papers: tuple[Paper, ...]
    symbols: tuple[str, ...]
    recipe: bool = False
    modality: str = "any"
    notes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("classes",)

    @property
    def title(self) -> str:
        return self.papers[0].title

    @property
    def authors(self) -> tuple[str, ...]:
        return self.papers[0].authors

    @property
    def year(self) -> int:
        return self.papers[0].year

    @property
    def venue(self) -> str:
        return self.papers[0].venue

    @property
    def arxiv(self) -> str | None:
        return self.papers[0].arxiv

    @property
    def doi(self) -> str | None:
        return self.papers[0].doi

    def as_dict(self) -> dict[str, Any]:
        """All of it, flat, ready for JSON."""
        names = ("name", "title", "stage", "authors", "year", "venue", "arxiv", "doi", "modality", "what")
        record = {key: getattr(self, key) for key in (*names, "recipe", "kinds", "symbols", "notes")}
        return record | {"citations": tuple(paper.short for paper in self.papers)}


def recipe(name: str, stage: str, what: str, papers: tuple[Paper, ...], *symbols: str, **more: Any) -> Method:
    return Method(name, stage, what, papers, (*symbols, f"metabalance.recipes:{name}"), recipe=True, **more)


def value_recipe(
    name: str, stage: str, what: str, papers: tuple[Paper, ...], *symbols: str, **more: Any
) -> Method:
    """A recipe for a continuous target."""
    where = (*symbols, f"metabalance.recipes.regression:{name}")
    return Method(name, stage, what, papers, where, recipe=True, kinds=("values",), **more)


def resampler(
    name: str,
    what: str,
    *papers: Paper,
    recipe: bool = True,
    modality: str = "numeric",
    also: tuple[str, ...] = (),
) -> Method:
    return Method(name, "sample", what, papers, ("metabalance.sample:resample", *also), recipe, modality)
