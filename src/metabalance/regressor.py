"""The scikit-learn face of the engine and the recipes, for rare values of a continuous target."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight
from torch import nn

from metabalance.base_estimator import MERGED_BATCHES, NetworkEstimator
from metabalance.data.arrays import as_tensor, merged, without_zero_weights
from metabalance.data.augment import default_augment
from metabalance.judge.metrics import Metric
from metabalance.judge.regions import Regions, make_regions
from metabalance.judge.values import ERRORS, get_value_metric
from metabalance.ranks import alone
from metabalance.readout import Readout
from metabalance.recipes import Plan, ValueTask
from metabalance.recipes.regression.base import widths_of
from metabalance.reports import value_report

__all__ = ["MetaBalanceRegressor"]

# With fewer held-out rows than this nothing is held out: an error of their rare values would be noise.
MIN_HELD_OUT = 20


class MetaBalanceRegressor(RegressorMixin, NetworkEstimator):
    """A neural regressor for targets some of whose values are rare, trained by any recipe for values.

    The target is standardised inside, whatever its scale, and predictions are in its unit. There may be several targets.

    Args:
        recipe: Name of a recipe for values (``metabalance methods`` lists them).
        recipe_options: The recipe's options, ``{"kernel_size": 9}`` for instance; those with a unit are in the target's.
        module: The network: None for an MLP on tables and a ConvNet on images, ``"mlp"``, ``"convnet"``,
            ``"resnet32"`` or ``"wideresnet"`` (see :mod:`metabalance.networks`), a callable
            ``(num_features, num_outputs) -> nn.Module`` (of images, the channels), or an ``nn.Module`` that gives
            ``(B, T)``; the latter is copied, never changed. A recipe that needs more columns (quantiles, say) replaces
            its last ``nn.Linear``.
        hidden: Widths of the MLP's hidden layers.
        dropout: Dropout of the MLP.
        epochs: At most this many epochs; an epoch is as many batches as one natural pass holds.
        batch_size: Rows per batch, those of all processes together. A training set that fits into one batch is used
            whole at every step, and then a sample weight of k equals k copies of the row to the last bit.
        optimizer: ``"adamw"``, ``"sgd"`` (Nesterov momentum 0.9) or a callable
            ``(parameters, lr=, weight_decay=) -> Optimizer``.
        lr: Learning rate.
        weight_decay: Weight decay.
        schedule: None or ``"cosine"``, over all epochs.
        clip_norm: Largest gradient norm, or None.
        validation_fraction: Share held out for early stopping and the choice of the best epoch, spread over the target's
            values; fewer than 20 rows are not held out, all epochs are run and the last weights are kept.
        monitor: Metric of the held-out part that picks the epoch: ``"bmae"`` (each bin of the target counts alike),
            ``"mae"``, ``"rmse"``, ``"gm"``, ``"r2"``, ``"pearson"`` or ``"spearman"``, also where training rows were rare
            (``"mae@few"``) or of one target (``"mae[2]"``); ``"loss"`` is the squared error.
        patience: Epochs without improvement before stopping.
        bin_width: Of the bins in which the density of the target is counted, in its unit; one number, or one for each
            target.
        num_bins: Without a width: so many bins from the smallest training value to the largest.
        preprocess: ``"auto"`` (mixed tables are vectorised; numbers are imputed and standardised), None for
            inputs that are ready, or a scikit-learn transformer.
        augment: None or False, True (random crops and mirroring of images, values swapped between the rows of a
            table), or ``(inputs, target, generator) -> (inputs, target)``; changes training batches only.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        devices: Processes that train one network, on one GPU or on some of the CPU's cores each. More than one are
            started here, and gone afterwards; a script then needs ``if __name__ == "__main__"``. Started by others
            (``torchrun``), they are found where ``torch.distributed`` is initialised.
        strategy: ``"auto"`` and ``"ddp"``: every process has the whole network and its share of each batch;
            ``"fsdp"``: the network is divided too, for the recipes that allow it (docs/strategies.md).
        precision: A Fabric precision such as ``"bf16-mixed"``; None keeps the data's.
        accumulate: Batches whose gradients make one update, as one batch of all their rows would.
        compile: Train through ``torch.compile``.
        max_seconds: Stops training cleanly after this time.
        checkpoint: A file; training killed at any moment goes on from it.
        checkpoint_seconds: Time between two writings of it; 0 writes it after each epoch.
        random_state: Seed of everything random.
        verbose: 1 shows a progress bar.

    Attributes:
        module_: The trained network, in standardised units.
        readout_: How its columns are read.
        target_mean_: What was subtracted from the target ``(T,)``.
        target_scale_: What it was divided by ``(T,)``.
        regions_: For each target its bins, and where they are many-, medium- and few-shot, of the rows trained on.
        history_: The engine's record of the run, or of its last phase.
        histories_: Those of all phases; most recipes have one.
        notes_: What the recipe had to say.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(300, 5, noise=1.0, random_state=0)
    >>> model = MetaBalanceRegressor("erm", random_state=0).fit(X, y)
    >>> model.predict(X).shape, model.score(X, y) > 0.9
    ((300,), True)
    """

    _kind = "values"
    _y_checks: ClassVar[dict[str, Any]] = {"y_numeric": True, "multi_output": True}

    def __init__(
        self,
        recipe: str = "erm",
        *,
        recipe_options: Mapping[str, Any] | None = None,
        module: nn.Module | Callable[[int, int], nn.Module] | str | None = None,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        epochs: int = 50,
        batch_size: int = 256,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adamw",
        lr: float = 2e-3,
        weight_decay: float = 1e-4,
        schedule: str | None = None,
        clip_norm: float | None = None,
        validation_fraction: float = 0.15,
        monitor: str = "bmae",
        patience: int | None = 10,
        bin_width: float | Sequence[float] | None = None,
        num_bins: int = 50,
        preprocess: Any = "auto",
        augment: Any = None,
        device: str = "auto",
        devices: int = 1,
        strategy: str = "auto",
        precision: str | None = None,
        accumulate: int = 1,
        compile: bool = False,
        max_seconds: float | None = None,
        checkpoint: str | None = None,
        checkpoint_seconds: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.recipe = recipe
        self.recipe_options = recipe_options
        self.module = module
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.monitor = monitor
        self.patience = patience
        self.bin_width = bin_width
        self.num_bins = num_bins
        self.preprocess = preprocess
        self.augment = augment
        self.device = device
        self.devices = devices
        self.strategy = strategy
        self.precision = precision
        self.accumulate = accumulate
        self.compile = compile
        self.max_seconds = max_seconds
        self.checkpoint = checkpoint
        self.checkpoint_seconds = checkpoint_seconds
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        validation_data: tuple[Any, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> "MetaBalanceRegressor":
        """Trains the network.

        Args:
            X: Features ``(N, D)``: an array, or a data frame with columns of any kind. Or images
                ``(N, channels, height, width)``, whole numbers from 0 to 255 or floats from 0 to 1.
            y: Target ``(N,)`` or ``(N, T)``, finite numbers.
            sample_weight: True loss weights ``(N,)``. A weight of 0 is the same as leaving the row out.
            validation_data: ``(X, y)`` in place of a held-out share.
            callback: Called with each epoch's row of the history, and ``selectable`` in it: whether this epoch may
                become the model. What it raises ends the training. Not called where ``devices`` starts processes.

        Returns:
            The fitted estimator.

        Raises:
            ValueError: Bad input, with what was given, what is allowed and what to do.
        """
        started = time.monotonic()
        self._check_parameters()
        self._metric()
        self._check_strategies()
        if self.devices > 1 and alone():
            return self._launch(X, y, sample_weight, validation_data=validation_data)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

        X, y = self._validated(X, y)
        target = _columns(y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, target, weight = without_zero_weights(X, target, weight)
        X, target, weight, kept_out = self._hold_out(X, target, weight, seed, validation_data)
        widths = widths_of(self.bin_width, target.shape[1])
        self.regions_: list[Regions] = [
            make_regions(column, bin_width=width, num_bins=self.num_bins)
            for column, width in zip(target.T, widths)
        ]
        if not hasattr(X, "columns") and X.ndim == 2 and len(target) <= MERGED_BATCHES * self.batch_size:
            together = merged(X, target, np.ones(len(target)) if weight is None else weight)
            if len(together[1]) <= self.batch_size:
                X, target, weight = together

        self.preprocessor_ = self._preprocessor(X)
        inputs = as_tensor(X if self.preprocessor_ is None else self.preprocessor_.fit_transform(X))
        task = ValueTask.of(
            inputs,
            target,
            self.bin_width,
            self.num_bins,
            None if weight is None else torch.as_tensor(weight),
            batch_size=self.batch_size,
            seed=seed,
            epochs=self.epochs,
        )
        if self.augment:
            task = replace(task, augment=default_augment(task) if self.augment is True else self.augment)
        self.target_mean_, self.target_scale_ = task.mean.numpy(), task.scale.numpy()
        validation = None
        if kept_out is not None:
            standard = torch.from_numpy((kept_out[1] - self.target_mean_) / self.target_scale_)
            validation = self._batches(kept_out[0], standard, inputs.dtype)
        self._fit_plan(task, task.num_targets, inputs.shape[1:], validation, started, callback)
        return self

    def _phase_begins(self, plan: Plan) -> None:
        if plan.readout is not None:
            self.readout_: Readout = plan.readout

    def _metric(self) -> Metric | None:
        """The metric of ``monitor``; None for the loss.

        Raises:
            ValueError: It is not one of a continuous target.
        """
        return None if self.monitor == "loss" else get_value_metric(self.monitor)

    def _monitoring(self) -> dict[str, Any]:
        metric = self._metric()
        mean, scale = self.target_mean_, self.target_scale_
        # Standardised, as the outputs are: so that errors of a target of any scale can be squared.
        regions = [
            replace(r, edges=(r.edges - m) / s, scale=r.scale / s)
            for r, m, s in zip(self.regions_, mean, scale)
        ]
        unit = 1.0
        if (
            metric is not None
            and metric.options["base"] in ERRORS
            and (len(scale) == 1 or metric.options["only"])
        ):
            unit = float(scale[int(metric.options["only"] or 1) - 1])

        def monitor(prediction: np.ndarray, target: np.ndarray) -> float:
            if metric is None or not np.isfinite(prediction).all():
                return float("nan")
            return unit * metric(prediction, target, regions=regions)

        return {
            "monitor": "loss" if metric is None else monitor,
            "greater_is_better": metric is not None and metric.greater_is_better,
            "report": partial(value_report, point=self.readout_.point),
            "min_positives": 2,
        }

    def _hold_out(
        self, X: Any, target: np.ndarray, weight: np.ndarray | None, seed: int, given: tuple[Any, Any] | None
    ) -> tuple[Any, np.ndarray, np.ndarray | None, tuple[Any, np.ndarray] | None]:
        if given is not None:
            rows, values = self._validated(given[0]), _columns(given[1])
            if values.shape[1] != target.shape[1] or len(values) != len(rows):
                raise ValueError(
                    f"the target of validation_data must be ({len(rows)}, {target.shape[1]}), as that of y, but has shape "
                    f"{values.shape}"
                )
            return X, target, weight, (rows, values)
        if int(len(target) * self.validation_fraction) < MIN_HELD_OUT:
            return X, target, weight, None
        held = _spread_out(target, self.validation_fraction, seed)
        take = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
        rest = np.setdiff1d(np.arange(len(target)), held)
        return take(rest), target[rest], None if weight is None else weight[rest], (take(held), target[held])

    # ----------------------------------------------------------------------------------------- predict

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in the unit of the target ``(N,)``, of several targets ``(N, T)``."""
        raw = self.predict_raw(X)
        values = self.readout_.point(raw) * self.target_scale_ + self.target_mean_
        return values[:, 0] if values.shape[1] == 1 else values

    def predict_raw(self, X: Any) -> np.ndarray:
        """The network's columns ``(N, columns)``, float64, in standardised units; ``readout_`` reads them."""
        return self._outputs(X).double().numpy()

    def predict_limits(self, X: Any) -> np.ndarray | None:
        """Lower and upper limits ``(N, T, 2)`` of recipes that predict them, in the unit of the target; else None.

        They are as the network says, not promised: see :class:`metabalance.adjust.ConformalIntervals`.
        """
        raw = self.predict_raw(X)
        limits = self.readout_.limits(raw)
        if limits is None:
            return None
        return limits * self.target_scale_[:, None] + self.target_mean_[:, None]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _columns(y: Any) -> np.ndarray:
    """The target ``(N, T)``, float64.

    Raises:
        ValueError: Values that are no finite numbers, or no columns of them.
    """
    values = np.asarray(y)
    if values.dtype.kind not in "biuf":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"y must hold numbers, but holds {values.dtype}; convert it first") from error
    values = values.astype(np.float64).reshape(len(values), -1) if values.ndim in (1, 2) else values
    if values.ndim != 2 or not values.size:
        raise ValueError(f"y must be (N,) or (N, T), but has shape {values.shape}")
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise ValueError(f"{missing} values of y are NaN or infinite; drop those rows first")
    return values


def _spread_out(target: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Rows ``(n,)`` to hold out, one at random of every few neighbours in the order of the target."""
    rng = np.random.default_rng(seed)
    largest = np.abs(target).max(axis=0)
    unit = target / np.where(largest > 0, largest, 1)  # no square overflows
    spread = unit.std(axis=0)
    place = (unit / np.where(spread > 0, spread, 1)).mean(axis=1)
    order = rng.permutation(len(target))
    order = order[np.argsort(place[order], kind="stable")]
    ends = np.linspace(0, len(target), int(len(target) * fraction) + 1).astype(int)
    return np.sort([rng.choice(order[start:end]) for start, end in pairwise(ends)])
