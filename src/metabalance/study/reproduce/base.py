"""What a claim is: a paper's statement, its published figures, and the runs and the rule that judge it here.

The rule is part of the claim's file and so fixed before any run: each :class:`Contrast` is a linear combination
of the arms' figures, computed seed by seed (one seed means the same rows and the same initial weights for every
arm), and the claim says that it lies above a margin.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from metabalance.study.reproduce.values import ValueSetup

__all__ = [
    "AnySetup",
    "Arm",
    "Claim",
    "Contrast",
    "Data",
    "Experiment",
    "Fit",
    "Published",
    "Setup",
    "Training",
    "equal",
    "greater",
]

STATUS = ("confirmed", "secondary", "unconfirmed")


@dataclass(frozen=True)
class Published:
    """What the paper reports.

    Args:
        figures: The numbers, in one sentence; when none could be confirmed, that.
        setup: On what they were measured.
        status: ``confirmed`` (read in the authors' code, page or paper), ``secondary`` (read in a third party's
            text) or ``unconfirmed``.
        source: Where they were read.
    """

    figures: str
    setup: str
    status: str
    source: str


@dataclass(frozen=True)
class Data:
    """A subset of public images with a profile of class counts.

    Args:
        images: ``digits``, ``mnist``, ``fashion-mnist``, ``cifar10`` (the official binary files) or
            ``cifar10-jpeg`` (the same images, stored with loss).
        profile: ``long_tail``, ``step``, ``linear``, ``one_vs_rest``, ``balanced``, or ``binary``: one class, with
            ``n_max / ratio`` rows, against all others together, with ``n_max``.
        n_max: Rows of the largest class.
        ratio: Largest count over smallest.
        minority: Share of small classes, for ``step``.
        order: ``given`` (class 0 is the largest, as in the long-tail benchmarks) or ``random``, by the seed.
        validation: Rows per class, from the images that training leaves over.
        test: Rows per class of the test images, None for all.
        unlabeled: Rows without a label, as a multiple of the training rows.
        unlabeled_ratio: Their imbalance ratio.
        noise: Share of wrong training labels, drawn towards the large classes.
    """

    images: str = "fashion-mnist"
    profile: str = "long_tail"
    n_max: int = 500
    ratio: float = 100.0
    minority: float = 0.5
    order: str = "given"
    validation: int = 30
    test: int | None = 200
    unlabeled: int = 0
    unlabeled_ratio: float = 1.0
    noise: float = 0.0


@dataclass(frozen=True)
class Training:
    """How every arm is trained; the names are those of :class:`~metabalance.estimator.MetaBalanceClassifier`.

    One more network is ``convnet-32``, the ConvNet with 32 channels in place of 64; ``longer`` multiplies the epochs.
    """

    module: str = "convnet-32"
    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 0.05
    weight_decay: float = 5e-4
    schedule: str | None = "cosine"
    augment: bool = False
    longer: float = 1.0


@dataclass(frozen=True)
class Setup:
    """Data, training, and, for robust accuracies, the largest change of a pixel that the attack may make."""

    data: Data
    training: Training = field(default_factory=Training)
    attack: float = 0.0

    def but(self, **changes: Any) -> "Setup":
        """The same with other fields of ``data`` or ``training``, each under its own name."""
        names = set(Data.__dataclass_fields__)
        of_data = {k: v for k, v in changes.items() if k in names}
        rest = {k: v for k, v in changes.items() if k not in names and k != "attack"}
        return Setup(
            replace(self.data, **of_data), replace(self.training, **rest), changes.get("attack", self.attack)
        )


AnySetup = Setup | ValueSetup


@dataclass(frozen=True)
class Arm:
    """One line of a claim's table: a recipe under the common conditions, except for what is its point.

    Args:
        recipe: A recipe's name.
        options: Of the recipe.
        tune: Options with several values; the combination with the best balanced accuracy on the validation rows, or
            the least balanced absolute error, is the one that is tested, seed by seed.
        changes: Fields of the set-up that this arm changes (``batch_size``, ``unlabeled``, ``epochs``).
        after: ``raw``, or ``thresholding``: the scores are divided by the class shares of the training rows.
    """

    recipe: str
    options: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    after: str = "raw"

    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of options to be tried."""
        return [dict(self.options) | dict(zip(self.tune, values)) for values in product(*self.tune.values())]


@dataclass(frozen=True)
class Contrast:
    """A linear combination of figures that the claim says lies above ``-margin``.

    Args:
        says: The statement, in words.
        metric: One of those a fit records.
        terms: ``(condition, arm, coefficient)``; a condition of ``"*"`` stands for each in turn.
        margin: 0 for "greater"; above 0 for "not worse by more than".
        equal: Also below ``margin``: the two are the same within it.
        part: Of which conclusion of the paper this is a part; a claim of several conclusions is judged one by one.
        control: Not what the paper claims, but what makes it mean something; shown, and no part of the verdict.
    """

    says: str
    metric: str
    terms: tuple[tuple[str, str, float], ...]
    margin: float = 0.0
    equal: bool = False
    part: str = ""
    control: bool = False


def greater(
    says: str, arm: str, other: str, metric: str = "balanced_accuracy", margin: float = 0.0, **more: Any
) -> Contrast:
    """``arm`` scores higher than ``other`` under each condition; with a margin, it is at most that much worse.

    Of a metric that is better when lower, the names change places.
    """
    return Contrast(says, metric, (("*", arm, 1.0), ("*", other, -1.0)), margin, **more)


def equal(
    says: str, arm: str, other: str, metric: str = "balanced_accuracy", margin: float = 0.005, **more: Any
) -> Contrast:
    """The two scores differ by at most ``margin`` under each condition."""
    return Contrast(says, metric, (("*", arm, 1.0), ("*", other, -1.0)), margin, equal=True, **more)


@dataclass(frozen=True)
class Claim:
    """A published statement that can be run.

    Args:
        name: On the command line.
        paper: The method's name in the method table, for the citation.
        statement: What the paper claims.
        published: Its figures.
        arms: By name.
        contrasts: What has to hold.
        small: Set-ups by name of condition, for a machine with two cores.
        full: The paper's scale.
        fallback: Set-ups on data that ship with scikit-learn, for when the images are not at hand.
        only: Arms of the conditions that do not run all of them.
        shown: Metrics of the table.
        seeds: By default.
        notes: What else a reader should know, a sentence each.
    """

    name: str
    paper: str
    statement: str
    published: Published
    arms: Mapping[str, Arm]
    contrasts: tuple[Contrast, ...]
    small: Mapping[str, AnySetup]
    full: Mapping[str, AnySetup]
    fallback: Mapping[str, AnySetup] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shown: tuple[str, ...] = ("balanced_accuracy", "many", "medium", "few")
    seeds: int = 5
    notes: tuple[str, ...] = ()

    def arms_of(self, condition: str) -> dict[str, Arm]:
        """The arms that run under a condition, by name."""
        return {name: self.arms[name] for name in self.only.get(condition, tuple(self.arms))}

    def value(self, record: Mapping[str, Any], metric: str, arm: str) -> float:
        """A figure of one fit of an arm."""
        return float(record[self.arms[arm].after][metric])


@dataclass(frozen=True)
class Experiment:
    """A published statement about measures rather than methods: one function measures all arms for a seed.

    Args:
        name: On the command line.
        paper: The method's name in the method table, for the citation.
        statement: What the paper claims.
        published: Its figures.
        arms: What is compared, by name, in words.
        conditions: What it is compared on, by name, in words.
        measure: ``(condition, seed, folder of data or None) -> {arm: {metric: value}}``; it can be run on a worker.
        contrasts: What has to hold.
        shown: Metrics of the table.
        needs: The file, below the folder of data, of the conditions that need one.
        fallback: Conditions on data that ship with scikit-learn, in place of those whose file is not there.
        full: Conditions at the paper's scale, with the same files; none if there is one size.
        overlap: Test rows over training rows if the seeds are folds of the same rows, for the intervals.
        seeds: By default.
        notes: What else a reader should know, a sentence each.
    """

    name: str
    paper: str
    statement: str
    published: Published
    arms: Mapping[str, str]
    conditions: Mapping[str, str]
    measure: Callable[[str, int, Path | None], Mapping[str, Mapping[str, float]]]
    contrasts: tuple[Contrast, ...]
    shown: tuple[str, ...]
    needs: Mapping[str, str] = field(default_factory=dict)
    fallback: Mapping[str, str] = field(default_factory=dict)
    full: Mapping[str, str] = field(default_factory=dict)
    overlap: float = 0.0
    seeds: int = 10
    notes: tuple[str, ...] = ()

    def arms_of(self, condition: str) -> Mapping[str, str]:
        """All of them, under every condition."""
        return self.arms

    def value(self, record: Mapping[str, Any], metric: str, arm: str) -> float:
        """A figure of one seed; NaN where there is none."""
        found = record.get(metric)
        return float("nan") if found is None else float(found)


@dataclass(frozen=True)
class Fit:
    """One training run: all that its result depends on. Claims that need the same one share it."""

    setup: AnySetup
    recipe: str
    options: Mapping[str, Any]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(replace(self, options=dict(self.options)))


def fits_of(arm: Arm, setup: AnySetup, seed: int) -> list[Fit]:
    """The fits behind one arm under one condition: several if it is tuned."""
    changed = setup.but(**arm.changes)
    return [Fit(changed, arm.recipe, options, seed) for options in arm.candidates()]
