"""MODNet as scikit-learn estimators: scaling, joint-learning network, predictions in the user's unit.

De Breuck, Hautier & Rignanese, npj Computational Materials 7, 83 (2021), arXiv 2004.14766. Where the authors' code goes
astray this goes straight: with standardised columns a missing value becomes the mean, not ten times the largest
value; the scaler that is asked for is used (their presets drop it); a prediction far out of range is clipped, not
replaced by an unseeded random number; the fourth block of layers is built.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from metabalance.systems.materials.network import MODNet, Tree, check_tree
from metabalance.systems.materials.training import Objective, Scaling, TrainingOptions, train_together

__all__ = ["MODNetClassifier", "MODNetRegressor"]

Array = NDArray[Any]
ERRORS = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.smooth_l1_loss}
SEEDS = 2**31 - 1


class _MODNet(BaseEstimator):
    """What the two have in common; final classes say how targets are encoded and what a loss is."""

    lr: float
    epochs: int
    batch_size: int
    scaler: str
    early_stopping: str | None
    validation_fraction: float
    patience: int
    min_delta: float
    random_state: Any
    network_: MODNet
    scaling_: Scaling

    # Of the final classes: checked arrays; what is learned of the targets; targets as the loss takes them.
    _checked: Any
    _fit_target: Any
    _encode: Any
    _network: Any
    _objective: Any

    def fit(self, X: ArrayLike, y: ArrayLike) -> Any:
        """Trains the network.

        Args:
            X: ``(N, F)``; NaN is allowed.
            y: Targets.

        Raises:
            ValueError: An option out of range, or targets that do not fit the tree.
        """
        rng = check_random_state(self.random_state)
        data, target = self._checked(X, y)
        member = self._fit_members(data, target, [np.arange(len(data))], [int(rng.randint(SEEDS))])[0]
        self.__dict__.update(member.__dict__)
        return self

    def fit_members(
        self, X: ArrayLike, y: ArrayLike, rows: Sequence[Array], seeds: Sequence[int]
    ) -> list[Any]:
        """Trains one network on each set of rows, all of them at once: what an ensemble is made of.

        Args:
            X: ``(N, F)``.
            y: Targets.
            rows: Row numbers of each member, of equal length, with repetitions.
            seeds: Of each member's start and order.

        Returns:
            Fitted estimators.
        """
        if len({len(r) for r in rows}) != 1:
            raise ValueError("members trained together need equally many rows each")
        data, target = self._checked(X, y)
        return self._fit_members(data, target, rows, seeds)

    def _fit_members(self, X: Array, y: Array, rows: Sequence[Array], seeds: Sequence[int]) -> list[Any]:
        options = TrainingOptions(
            self.lr, self.epochs, self.batch_size, self.early_stopping, self.patience, self.min_delta
        )
        members = [self._member(X[r], y[r], seed) for r, seed in zip(rows, seeds)]
        parts = [self._parts(y[r], seed) for r, seed in zip(rows, seeds)]

        def stacked(which: int) -> tuple[Tensor, Tensor] | None:
            if parts[0][which] is None:
                return None
            own = [(m, r[part[which]]) for m, r, part in zip(members, rows, parts)]
            return (
                torch.stack([m.scaling_.apply(X[r]) for m, r in own]),
                torch.stack([m._encode(y[r]) for m, r in own]),
            )

        fit, validation = stacked(0), stacked(1)
        assert fit is not None
        epochs = train_together(
            [m.network_ for m in members], *fit, members[0]._objective(), options, seeds, validation
        )
        for member, epoch in zip(members, epochs):
            member.n_iter_ = epoch
        return members

    def _member(self, X: Array, y: Array, seed: int) -> Any:
        """An estimator as this one, with all but the training done on its rows."""
        member = type(self)(**self.get_params(deep=False))
        member.__dict__.update({k: v for k, v in self.__dict__.items() if k.endswith("_") or k == "_one"})
        member.scaling_ = Scaling.fit(X, self.scaler)
        member._fit_target(y)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            member.network_ = member._network(X.shape[1])
        return member

    def _parts(self, y: Array, seed: int) -> tuple[Array, Array | None]:
        """Positions to train on, and to validate on if that is what stops the training."""
        if self.early_stopping != "validation":
            return np.arange(len(y)), None
        if not 0 < self.validation_fraction < 1 or len(y) < 3:
            raise ValueError(
                f"early stopping on validation rows needs a validation_fraction between 0 and 1 and 3 rows, but "
                f"{self.validation_fraction} and {len(y)} samples were given"
            )
        fit, held = train_test_split(np.arange(len(y)), test_size=self.validation_fraction, random_state=seed)
        return fit, held

    def _outputs(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        data = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        with torch.no_grad():
            return self.network_(self.scaling_.apply(data)).double().numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags


class MODNetRegressor(RegressorMixin, _MODNet):
    """One network for one or several related values.

    Args:
        targets: Tree of groups of properties of the target's columns, such as ``[[[0, 1], [2]]]``; None for one group
            in which each column is a property.
        num_neurons: Widths of the shared, group, property and target layers, see
            :class:`~metabalance.systems.materials.MODNet`.
        activation: ``relu``, ``elu``, ``gelu`` or ``tanh``.
        loss: ``mse``, ``mae`` or ``huber``, on standardised targets.
        loss_weights: One for each property, in the order of the tree.
        lr: Of Adam.
        epochs: At most.
        batch_size: About so many rows a step; the batches of an epoch are of equal size.
        scaler: ``minmax`` (to ±0.5; a missing value becomes -1) or ``standard`` (the mean).
        early_stopping: ``training``, as published, stops when the training loss stands still; ``validation`` takes the
            best epoch on rows held back; None trains all epochs.
        validation_fraction: Of the rows, for ``validation``.
        patience: Epochs without improvement.
        min_delta: The least improvement, in the unit of the loss.
        clip_range: Predictions stay within the range of the training targets, widened by this multiple of it on either
            side; None for no limit.
        random_state: Of start, order of batches and held-back rows.

    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = MODNetRegressor(epochs=60, lr=0.01, random_state=0).fit(X, 1000 * X[:, 0] ** 2)
    >>> bool(abs(model.predict([[0.5]])[0] - 250) < 50)
    True
    """

    def __init__(
        self,
        targets: Tree | None = None,
        *,
        num_neurons: Sequence[Sequence[int]] = ((64,), (32,), (16,), (16,)),
        activation: str = "relu",
        loss: str = "mse",
        loss_weights: Sequence[float] | None = None,
        lr: float = 1e-3,
        epochs: int = 200,
        batch_size: int = 128,
        scaler: str = "minmax",
        early_stopping: str | None = "training",
        validation_fraction: float = 0.1,
        patience: int = 100,
        min_delta: float = 1e-3,
        clip_range: float | None = 0.25,
        random_state: Any = None,
    ) -> None:
        self.targets = targets
        self.num_neurons = num_neurons
        self.activation = activation
        self.loss = loss
        self.loss_weights = loss_weights
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.scaler = scaler
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_delta = min_delta
        self.clip_range = clip_range
        self.random_state = random_state

    def predict(self, X: ArrayLike) -> Array:
        """Values ``(N,)`` or ``(N, T)``, in the unit of the training targets."""
        scaled = self._outputs(X)[:, self._column_of_target()]
        low, high = self.target_range_
        found = scaled * self.target_unit_ + self.target_mean_
        if self.clip_range is not None:
            room = self.clip_range * (high - low)
            found = np.clip(found, low - room, high + room)
        return found[:, 0] if self._one else found

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True, y_numeric=True
        )
        self._one = y.ndim == 1
        y = y.astype(np.float64).reshape(len(y), -1)
        self.targets_ = [[[t] for t in range(y.shape[1])]] if self.targets is None else self.targets
        if sorted(map(str, check_tree(self.targets_))) != sorted(map(str, range(y.shape[1]))):
            raise ValueError(
                f"targets must name each column of y, 0 to {y.shape[1] - 1}, once, but is {self.targets!r}"
            )
        if self.loss not in ERRORS:
            raise ValueError(f"loss must be one of {', '.join(ERRORS)}, but {self.loss!r} was given")
        if self.clip_range is not None and not self.clip_range >= 0:
            raise ValueError(f"clip_range must be None or not negative, but {self.clip_range} was given")
        return X, y

    def _fit_target(self, y: Array) -> None:
        self.target_range_ = y.min(axis=0), y.max(axis=0)
        largest = np.abs(y).max(axis=0)
        largest = np.where(largest > 0, largest, 1)
        self.target_mean_ = (y / largest).mean(axis=0) * largest
        spread = ((y - self.target_mean_) / largest).std(
            axis=0
        ) * largest  # so that no square over- or underflows
        self.target_unit_ = np.where(spread > 0, spread, 1)

    def _encode(self, y: Array) -> Tensor:
        scaled = (y - self.target_mean_) / self.target_unit_
        return torch.from_numpy(scaled[:, check_tree(self.targets_)]).float()

    def _column_of_target(self) -> list[int]:
        names = check_tree(self.targets_)
        return [names.index(t) for t in range(len(names))]

    def _network(self, width: int) -> MODNet:
        return MODNet(self.targets_, width, self.num_neurons, activation=self.activation)

    def _objective(self) -> Objective:
        sizes = [len(prop) for group in self.targets_ for prop in group]
        given = [1.0] * len(sizes) if self.loss_weights is None else list(self.loss_weights)
        if len(given) != len(sizes) or not all(w >= 0 for w in given):
            raise ValueError(
                f"loss_weights must be one for each of {len(sizes)} properties, not negative, but is {given}"
            )
        # The loss of a property is the mean over its targets.
        weight = torch.tensor([w / size for w, size in zip(given, sizes) for _ in range(size)])
        error = ERRORS[self.loss]
        return lambda outputs, targets: (error(outputs, targets, reduction="none") * weight).sum(2).mean(1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True
        return tags


class MODNetClassifier(ClassifierMixin, _MODNet):
    """One network for classes, by cross-entropy; other arguments as for :class:`MODNetRegressor`.

    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = MODNetClassifier(epochs=60, lr=0.01, random_state=0).fit(X, np.where(X[:, 0] > 0, "glass", "none"))
    >>> model.predict([[0.5], [-0.5]]).tolist()
    ['glass', 'none']
    """

    def __init__(
        self,
        *,
        num_neurons: Sequence[Sequence[int]] = ((64,), (32,), (16,), (16,)),
        activation: str = "relu",
        lr: float = 1e-3,
        epochs: int = 200,
        batch_size: int = 128,
        scaler: str = "minmax",
        early_stopping: str | None = "training",
        validation_fraction: float = 0.1,
        patience: int = 100,
        min_delta: float = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.num_neurons = num_neurons
        self.activation = activation
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.scaler = scaler
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_delta = min_delta
        self.random_state = random_state

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities ``(N, C)``, in the order of ``classes_``."""
        return torch.from_numpy(self._outputs(X)).softmax(1).numpy()

    def predict(self, X: ArrayLike) -> Array:
        """The most probable class of each row ``(N,)``."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_, encoded = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y holds 1 class; a classifier needs two or more")
        return X, encoded

    def _fit_target(self, y: Array) -> None:
        pass

    def _encode(self, y: Array) -> Tensor:
        return torch.from_numpy(y).long()[:, None]

    def _network(self, width: int) -> MODNet:
        sizes = {0: len(self.classes_)}
        return MODNet([[[0]]], width, self.num_neurons, activation=self.activation, num_classes=sizes)

    def _objective(self) -> Objective:
        def objective(outputs: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(outputs.transpose(1, 2), targets[:, :, 0], reduction="none").mean(1)

        return objective

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags
