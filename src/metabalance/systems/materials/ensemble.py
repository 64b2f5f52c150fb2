"""Many models, each fitted on rows drawn with replacement: their mean predicts, their spread says how sure it is.

Breiman, Machine Learning 24, 123-140 (1996); as the uncertainty of MODNet in De Breuck, Evans & Rignanese, Journal of
Physics: Condensed Matter 33, 404002 (2021), arXiv 2102.02263.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples, check_is_fitted, indexable

__all__ = ["BootstrapEnsemble"]

Array = NDArray[Any]
SEEDS = 2**31 - 1


class BootstrapEnsemble(BaseEstimator):
    """Any estimator many times; members of :class:`~metabalance.systems.materials.MODNetRegressor` and
    :class:`~metabalance.systems.materials.MODNetClassifier` are trained at once.

    Args:
        make_model: An estimator, of which members are clones with their own ``random_state``, or a function of a seed
            that makes a member.
        n_members: How many.
        bootstrap: Whether each member sees as many rows as there are, drawn with replacement, or all of them.
        stratify: Whether rows are drawn within each class; None for classifiers alone.
        voting: Of classifiers: ``soft`` averages probabilities, ``hard`` counts each member's choice.
        together: How many members are trained at once where the estimator can.
        random_state: Of rows and members.
        n_jobs: Processes for members that are not trained together; -1 for all cores.

    Attributes:
        members_: The fitted members.
        classes_: Of classifiers.

    >>> from sklearn.tree import DecisionTreeRegressor
    >>> X = np.arange(40.0)[:, None]
    >>> model = BootstrapEnsemble(DecisionTreeRegressor(), 20, random_state=0).fit(X, X[:, 0])
    >>> mean, std = model.predict([[10.0], [80.0]], return_std=True)
    >>> mean.round(1), bool(std[1] > 0)
    (array([ 9.9, 38. ]), True)
    """

    def __init__(
        self,
        make_model: Any,
        n_members: int = 100,
        *,
        bootstrap: bool = True,
        stratify: bool | None = None,
        voting: str = "soft",
        together: int = 50,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.make_model = make_model
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.stratify = stratify
        self.voting = voting
        self.together = together
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike) -> "BootstrapEnsemble":
        """Fits the members.

        Args:
            X: ``(N, F)``.
            y: Targets ``(N,)``, or what a member takes.

        Raises:
            ValueError: Fewer than one member, an unknown way of voting, or what a member refuses.
        """
        if self.n_members < 1 or self.together < 1 or self.voting not in ("soft", "hard"):
            raise ValueError(
                f"n_members and together must be from 1 and voting 'soft' or 'hard', but are {self.n_members}, "
                f"{self.together} and {self.voting!r}"
            )
        indexable(X, y)
        data, target = np.asarray(X), np.asarray(y)
        rng = check_random_state(self.random_state)
        seeds = [int(s) for s in rng.randint(SEEDS, size=self.n_members)]
        models = [self._make(seed) for seed in seeds]
        self.is_classifier_ = is_classifier(models[0])
        strata = target if (self.is_classifier_ if self.stratify is None else self.stratify) else None
        rows = [self._rows(len(data), strata, np.random.default_rng(seed)) for seed in seeds]
        prototype = not callable(self.make_model)
        self.members_ = []
        if prototype and hasattr(models[0], "fit_members"):
            for i in range(0, self.n_members, self.together):
                part = slice(i, i + self.together)
                self.members_ += models[0].fit_members(data, target, rows[part], seeds[part])
        else:
            work = (delayed(_fit)(model, data[r], target[r]) for model, r in zip(models, rows))
            self.members_ = Parallel(n_jobs=self.n_jobs)(work)
        if self.is_classifier_:
            self.classes_ = np.unique(target)
        return self

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """The members' mean, or the class that is voted for.

        Args:
            X: ``(N, F)``.
            return_std: Of values: also the members' standard deviation (over members, not a sample of them).

        Returns:
            ``(N,)`` or ``(N, T)``; with ``return_std`` a pair of these.
        """
        check_is_fitted(self)
        if self.is_classifier_:
            if return_std:
                raise ValueError(
                    "classes have no standard deviation; ask predict_proba for that of probabilities"
                )
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        return _summary(np.stack([member.predict(X) for member in self.members_]), return_std)

    def predict_proba(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Mean probabilities, or shares of votes, ``(N, C)``; with ``return_std`` also their standard deviations."""
        check_is_fitted(self)
        if not self.is_classifier_:
            raise ValueError("these members predict values; use predict")
        found = np.zeros((len(self.members_), _num_samples(X), len(self.classes_)))
        for m, member in enumerate(self.members_):
            # A member may never have met a rare class.
            places = np.searchsorted(self.classes_, member.classes_)
            if self.voting == "soft":
                found[m][:, places] = member.predict_proba(X)
            else:
                said = np.searchsorted(self.classes_, member.predict(X))
                found[m][np.arange(len(said)), said] = 1
        return _summary(found, return_std)

    def _make(self, seed: int) -> Any:
        if callable(self.make_model):
            return self.make_model(seed)
        model = clone(self.make_model)
        return model.set_params(random_state=seed) if "random_state" in model.get_params() else model

    def _rows(self, n: int, strata: Array | None, rng: np.random.Generator) -> Array:
        if not self.bootstrap:
            return np.arange(n)
        if strata is None:
            return rng.integers(n, size=n)
        groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
        return np.concatenate([rng.choice(group, len(group)) for group in groups])


def _fit(model: Any, X: Array, y: Array) -> Any:
    return model.fit(X, y)


def _summary(found: Array, return_std: bool) -> Any:
    mean = found.mean(axis=0)
    return (mean, found.std(axis=0)) if return_std else mean
