"""What ``--tune`` searches: the options of each recipe and baseline, and the settings that all networks share.

Where a paper says what it tried, the range is the paper's (named beside it); everything else is ours, wide enough
to hold the published default and what changes the result. Left out on purpose: structure (which streams, a meta
set, the attack), what only costs time, and ``class_weight`` of the baselines, for it would make remedies of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metabalance.study.candidates import KIND_BASELINES, SETTINGS, Candidate, options_of_baseline

__all__ = ["NETWORK", "SPACES", "VALUE_SPACES", "Choice", "Real", "SearchSpace", "Whole", "search_space"]


@dataclass(frozen=True)
class Real:
    """Numbers from ``low`` to ``high``, drawn evenly or evenly in the logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    """Whole numbers, likewise."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of these values, in no order."""

    values: tuple[Any, ...]


Space = Real | Whole | Choice

BETA = Choice((0.9, 0.99, 0.999, 0.9999))  # Cui et al. 2019
START = Real(0.5, 0.95)  # of a deferred remedy; published 0.8
RATE = Real(1e-3, 1.0, log=True)  # of a look-ahead
TEMPERATURE = Real(0.05, 0.5, log=True)
RADIUS = Real(0.01, 0.5, log=True)  # Foret et al. 2021
CONTRAST = Real(0.05, 2.0, log=True)  # around the 0.35 of Zhu et al. 2022

# Of every network; Shwartz-Ziv et al. 2023 show how much these decide, the ranges are ours. The batch size is searched
# around the one that the data would get, see search_space; the number of epochs is found by early stopping.
RATES: dict[str, Real] = {"lr": Real(1e-4, 3e-2, log=True), "weight_decay": Real(1e-6, 1e-2, log=True)}
NETWORK: dict[str, Space] = {
    **RATES,
    "dropout": Real(0.0, 0.5),
    "hidden": Choice(((32,), (64, 64), (128, 128), (256, 256), (128, 128, 128))),
}
OF_THE_MLP = ("dropout", "hidden")

SPACES: dict[str, dict[str, Space]] = {
    "erm": {},
    "logistic": {"C": Real(1e-4, 1e2, log=True)},
    # Narrower than the ranges of Grinsztajn et al. 2022; the number of trees is found by early stopping.
    "lightgbm": {
        "learning_rate": Real(0.01, 0.3, log=True),
        "num_leaves": Whole(7, 127, log=True),
        "min_data_in_leaf": Whole(5, 100, log=True),
        "feature_fraction": Real(0.4, 1.0),
        "lambda_l2": Real(0.0, 10.0),
    },
    "xgboost": {
        "learning_rate": Real(0.01, 0.3, log=True),
        "max_depth": Whole(2, 10),
        "min_child_weight": Real(0.5, 50.0, log=True),
        "colsample_bytree": Real(0.4, 1.0),
        "reg_lambda": Real(0.1, 10.0, log=True),
    },
    "oversample": {"ratio": Real(0.1, 1.0)},
    "undersample": {"ratio": Real(0.1, 1.0)},
    "balanced_batches": {},
    "square_root": {"q": Real(0.0, 1.0)},  # from class-balanced to natural
    "progressive": {},
    "mixup": {"alpha": Real(0.1, 4.0, log=True)},
    "cutmix": {"alpha": Real(0.1, 4.0, log=True), "probability": Real(0.1, 1.0)},
    "remix": {"alpha": Real(0.1, 4.0, log=True), "kappa": Real(1.5, 10.0), "tau": Real(0.0, 1.0)},
    # Users of the authors' code had to tune lam, gamma and beta for each data set.
    "m2m": {"beta": BETA, "lam": Real(0.01, 1.0, log=True), "gamma": Real(0.5, 0.99), "defer": START},
    "smote": {},
    "borderline_smote": {},
    "svm_smote": {},
    "adasyn": {},
    "cluster_centroids": {},
    "near_miss": {},
    "all_knn": {},
    "smote_enn": {},
    "learning_to_reweight": {},
    "meta_weight_net": {
        "inner_lr": RATE,
        "start": Real(0.0, 0.8),
        "variant": Choice(("imbalance", "noise")),
    },
    "cmw_net": {"inner_lr": RATE, "start": Real(0.0, 0.9), "log_counts": Choice((False, True))},
    "ot_reweighting": {
        "alpha": Real(0.0, 1.0),
        "cost": Choice(("combined", "feature", "label", "twoloss")),
        "plain": Real(0.3, 0.9),
        "init": Choice(("uniform", "class_balanced")),
    },
    "curve_net": {"inner_lr": RATE, "probing": Real(0.3, 0.8), "learning": Real(0.2, 0.8)},
    "class_weight": {"weight": Choice(("balanced", "sqrt", "effective")), "beta": BETA},
    "focal": {"gamma": Real(0.0, 5.0)},  # Lin et al. 2017
    "class_balanced": {"beta": BETA, "gamma": Choice((0.0, 0.5, 1.0, 2.0))},  # Cui et al. 2019
    "logit_adjustment": {"tau": Real(0.0, 2.0)},  # Menon et al. 2021 tune it around 1
    "balanced_softmax": {},
    "arb": {"counts": Choice(("batch", "global"))},
    "ldam": {"max_margin": Real(0.1, 1.0), "scale": Real(5.0, 60.0, log=True)},
    "ldam_drw": {
        "max_margin": Real(0.1, 1.0),
        "scale": Real(5.0, 60.0, log=True),
        "start": START,
        "beta": BETA,
    },
    "cdb": {"tau": Choice(("dynamic", 0.5, 1.0, 1.5, 2.0)), "gamma": Choice((0.0, 0.5, 1.0, 2.0))},
    "dice": {
        "alpha": Real(1e-3, 1.0, log=True),
        "square": Choice((True, False)),
        "smooth": Real(1e-3, 10.0, log=True),
    },
    "class_smoothing": {
        "head": Real(0.0, 0.2),
        "tail": Real(0.0, 0.4),
        "spread": Choice(("uniform", "inverse")),
    },
    "label_aware_smoothing": {"head": Real(0.0, 0.5), "tail": Real(0.0, 0.2), "power": Real(0.5, 3.0)},
    "supcon": {"coefficient": CONTRAST, "temperature": TEMPERATURE},
    "balanced_supcon": {"coefficient": CONTRAST, "temperature": TEMPERATURE},
    "joint_ssl": {"ssl": Choice(("vicreg", "simclr")), "weight": Choice((None, 0.01, 0.1, 0.5))},
    "rotation_pretraining": {"share": Real(0.2, 0.8)},
    "moco_pretraining": {
        "share": Real(0.2, 0.8),
        "temperature": TEMPERATURE,
        "momentum": Choice((0.9, 0.99, 0.999)),
    },
    "self_training": {"omega": Real(0.1, 2.0, log=True), "threshold": Choice((None, 0.7, 0.9, 0.95))},
    "metabalance": {
        "inner_lr": RATE,
        "order": Choice((1, 2)),
        "leak": Choice((0.0, 0.005, 0.01, 0.02, 0.05)),
    },
    "sam": {"rho": RADIUS},
    "asam": {"rho": Real(0.05, 2.0, log=True)},  # Kwon et al. 2021
    "sam_a": {"rho": RADIUS},
    "drw": {"start": START, "beta": BETA},
    "drs": {"start": START},
    "two_phase": {"first": Choice(("random_over", "random_under"))},
    "adversarial": {"norm": Choice(("linf", "l2"))},
    "srat": {"coefficient": CONTRAST, "temperature": TEMPERATURE, "start": START, "beta": BETA},
    "simplified": {
        "smoothing": Real(0.0, 0.2),
        "tail_smoothing": Choice((None, 0.1, 0.2, 0.4)),
        "rho": Choice((0.0, 0.02, 0.05, 0.1, 0.2)),
    },
    "posthoc_logit_adjustment": {"tau": Real(0.0, 2.0)},
    "thresholding": {
        "sampling": Choice(("natural", "random_over", "random_under")),
        "prior": Choice(("train_original", "effective")),
    },
    "tau_norm": {"tau": Real(0.0, 1.0)},  # Kang et al. 2020
    "crt": {},
    "lws": {"lr_scale": Real(1.0, 30.0, log=True)},
    "compose": {},
}

TREES = ("lightgbm", "xgboost")
KERNEL: dict[str, Space] = {"kernel_size": Choice((3, 5, 9, 15)), "sigma": Real(0.5, 5.0, log=True)}
# Of a continuous target. What the cards leave open is ours: around the published value, or around the default that follows
# from the data.
VALUE_SPACES: dict[str, dict[str, Space]] = {
    "erm": {},
    "l1": {},
    "huber": {},
    "ridge": {"alpha": Real(1e-3, 1e4, log=True)},
    **{name: SPACES[name] for name in TREES},
    "dummy": {},
    "inverse_density": {},
    "sqrt_inverse_density": {},
    "lds": {"reweight": Choice(("sqrt_inv", "inverse")), **KERNEL},
    "fds": KERNEL,
    "lds_fds": {"reweight": Choice(("sqrt_inv", "inverse")), **KERNEL},
    "dense_weight": {"alpha": Real(0.1, 2.0)},  # Steininger et al. 2021 look at 0 to 2
    "balanced_mse": {"variant": Choice(("bmc", "gai", "bni"))},
    "focal_r": {"gamma": Real(0.5, 3.0)},
    "conr": {"coefficient": CONTRAST, "temperature": TEMPERATURE},
    "ranksim": {"coefficient": Real(0.01, 10.0, log=True)},
    "regressor_retraining": {},
    "smogn": {},
    "smoter": {},
    "rare_over": {},
    "quantile": {},
    "gaussian": {"beta": Real(0.0, 1.0)},  # Seitzer et al. 2022
    "metabalance": {"inner_lr": RATE, "power": Real(0.0, 1.0)},
}

# (recipe, option): what that option sets itself once it is given.
SET_BY = {
    ("metabalance", "preset"): ("inner_lr", "leak", "lr", "weight_decay", "batch_size"),
    ("ot_reweighting", "published"): ("init",),
}


@dataclass(frozen=True)
class SearchSpace:
    """What a search may change of one candidate.

    Args:
        untouched: The options of the first trial, as without a search: those given in parentheses, of several
            values the first.
        spaces: What is searched.
        start: The values of ``spaces`` in the first trial: the defaults.
    """

    untouched: dict[str, Any]
    spaces: dict[str, Space]
    start: dict[str, Any]


def search_space(
    candidate: Candidate,
    network: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (1,),
    kind: str = "classes",
) -> SearchSpace:
    """The search space of a candidate: its own options and, for a network, those of :data:`NETWORK`.

    An option given with one value stays as it is; several values are a choice among these.

    Args:
        candidate: Recipe or baseline.
        network: Settings of every network, where the search starts.
        shape: Of one input, ``(D,)`` or ``(channels, height, width)``.
        kind: Of target, ``"classes"`` or ``"values"``.

    >>> from metabalance.study.candidates import parse_candidates
    >>> space = search_space(parse_candidates("focal(lr=0.01,gamma=1|2)")[0])
    >>> space.untouched, space.spaces["gamma"], "lr" in space.spaces
    ({'lr': 0.01, 'gamma': 1}, Choice(values=(1, 2)), False)
    """
    given, settings = dict(candidate.options), dict(network or {})
    spaces = dict((SPACES if kind == "classes" else VALUE_SPACES)[candidate.name])
    if candidate.name in KIND_BASELINES[kind]:
        defaults = dict(options_of_baseline(candidate.name, kind))
    else:
        from metabalance.estimator import MetaBalanceClassifier
        from metabalance.recipes import recipe_options

        # A setting of the network goes before an option of the same name, as in the parentheses. Both estimators have
        # the same.
        network_defaults = {k: v for k, v in MetaBalanceClassifier().get_params().items() if k in SETTINGS}
        defaults = recipe_options(candidate.name, kind) | network_defaults | settings
        size = defaults["batch_size"]
        around = tuple(dict.fromkeys(max(16, n) for n in (size // 4, size // 2, size, 2 * size)))
        spaces |= NETWORK | {"batch_size": Choice(around)}
        if len(shape) == 3 and settings.get("module") != "mlp":
            spaces = {name: space for name, space in spaces.items() if name not in OF_THE_MLP}
    for (recipe, option), names in SET_BY.items():
        if recipe == candidate.name and any(given.get(option, ())):
            spaces = {name: space for name, space in spaces.items() if name not in names}
    start, searched = {}, {}
    for name, space in spaces.items():
        found = None if name in given else _including(space, defaults[name])
        if found is not None:
            searched[name], start[name] = found, defaults[name]
    for name, values in given.items():
        if len(values) > 1:
            searched[name], start[name] = Choice(values), values[0]
    return SearchSpace({name: values[0] for name, values in given.items()}, searched, start)


def _including(space: Space, start: Any) -> Space | None:
    """The space with the value from which the search starts; None if that cannot be (a rate of 0, say)."""
    if isinstance(space, Choice):
        return space if start in space.values else Choice((start, *space.values))
    if space.log and not start > 0:
        return None
    return replace(space, low=min(space.low, start), high=max(space.high, start))
