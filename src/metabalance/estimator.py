"""The scikit-learn face of the engine and the recipes, for classes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor, nn

from metabalance.adjust.prior import shift_prior
from metabalance.base_estimator import MERGED_BATCHES, NetworkEstimator, rows_at_once
from metabalance.counts import class_counts, class_weights
from metabalance.data.arrays import as_tensor, merged, without_zero_weights
from metabalance.data.augment import default_augment
from metabalance.data.streamed import Rows
from metabalance.judge.metrics import get_metric
from metabalance.ranks import alone
from metabalance.recipes import Plan, Task

__all__ = ["MetaBalanceClassifier"]


class MetaBalanceClassifier(ClassifierMixin, NetworkEstimator):
    """A neural classifier for imbalanced data, trained by any recipe of the library.

    Args:
        recipe: Name of a recipe (``metabalance methods`` lists them).
        recipe_options: The recipe's options, ``{"order": 2, "inner_lr": 0.1}`` for instance.
        module: The network: None for an MLP on tables and a ConvNet on images, ``"mlp"``, ``"convnet"``,
            ``"resnet32"`` or ``"wideresnet"`` (see :mod:`metabalance.networks`), a callable
            ``(num_features, num_classes) -> nn.Module`` (of images, the channels), or an ``nn.Module`` that gives
            logits ``(B, C)``; the latter is copied, never changed.
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
        class_weight: None, ``"balanced"``, ``"sqrt"``, ``"effective"`` or ``{label: weight}``: weighs the rows in
            training and the classes in ``predict``.
        validation_fraction: Share held out for early stopping and the choice of the best epoch.
        min_positives: Every class needs this many held-out rows; below that nothing is held out, all epochs
            are run and the last weights are kept.
        monitor: Metric of the held-out part that picks the epoch.
        patience: Epochs without improvement before stopping.
        positive: With two classes, the label that ``monitor`` takes as positive; by default the rarer one.
        prior: The class prior of ``predict_proba``: ``"source"`` (that of the training data: rebalanced training
            is corrected), ``"training"`` (uncorrected), or shares per class ``(C,)``.
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
        classes_: The labels ``(C,)``, sorted.
        module_: The trained network.
        history_: The engine's record of the run, or of its last phase.
        histories_: Those of all phases; most recipes have one.
        class_weight_: The resolved class weights ``(C,)``.
        source_prior_: Class prior of the data ``(C,)``.
        training_prior_: Class prior the raw scores are calibrated to ``(C,)``.
        notes_: What the recipe had to say.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(500, weights=[0.9], class_sep=2, random_state=0)
    >>> model = MetaBalanceClassifier(recipe="metabalance", random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (500, 2)
    """

    _kind = "classes"
    _y_checks: ClassVar[dict[str, Any]] = {"y_numeric": False}

    def __init__(
        self,
        recipe: str = "metabalance",
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
        class_weight: str | Mapping[Any, float] | None = None,
        validation_fraction: float = 0.15,
        min_positives: int = 10,
        monitor: str = "average_precision",
        patience: int | None = 10,
        positive: Any = None,
        prior: str | Sequence[float] = "source",
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
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.min_positives = min_positives
        self.monitor = monitor
        self.patience = patience
        self.positive = positive
        self.prior = prior
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
        unlabeled: Any = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> "MetaBalanceClassifier":
        """Trains the network.

        Args:
            X: Features ``(N, D)``: an array, or a data frame with columns of any kind. Or images
                ``(N, channels, height, width)``, whole numbers from 0 to 255 or floats from 0 to 1.
            y: Labels ``(N,)``.
            sample_weight: True loss weights ``(N,)``. A weight of 0 is the same as leaving the row out.
            validation_data: ``(X, y)`` in place of a held-out share.
            unlabeled: Rows without a label, for the recipes that learn from them.
            callback: Called with each epoch's row of the history, and ``selectable`` in it: whether this epoch may
                become the model. What it raises ends the training. Not called where ``devices`` starts processes.

        Returns:
            The fitted estimator.

        Raises:
            ValueError: Bad input, with what was given, what is allowed and what to do.
        """
        started = time.monotonic()
        self._check_parameters()
        self._check_strategies()
        if self.devices > 1 and alone():
            return self._launch(X, y, sample_weight, validation_data=validation_data, unlabeled=unlabeled)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

        X, y = self._validated(X, y)
        check_classification_targets(y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, y, weight = without_zero_weights(X, y, weight)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_.tolist()[0]!r}); a classifier needs at least two classes"
            )
        X, target, weight, kept_out = self._hold_out(X, target, weight, seed, validation_data)
        if not hasattr(X, "columns") and X.ndim == 2 and len(target) <= MERGED_BATCHES * self.batch_size:
            together = merged(X, target, np.ones(len(target)) if weight is None else weight)
            if len(together[1]) <= self.batch_size:
                X, target, weight = together

        self.preprocessor_ = self._preprocessor(X)
        inputs = as_tensor(X if self.preprocessor_ is None else self.preprocessor_.fit_transform(X))
        labels = torch.from_numpy(np.asarray(target)).long()
        num_classes = len(self.classes_)
        counts = class_counts(labels, num_classes, weight)
        self.class_weight_ = class_weights(counts, self.class_weight, list(self.classes_)).numpy()
        task = Task(
            inputs,
            labels,
            num_classes,
            None if weight is None else torch.as_tensor(weight / weight.mean(), dtype=inputs.dtype),
            None if self.class_weight is None else _average_one(torch.as_tensor(self.class_weight_), counts),
            self.batch_size,
            seed,
            self.epochs,
            unlabeled=None if unlabeled is None else self._ready(self._validated(unlabeled), inputs.dtype),
        )
        if self.augment:
            task = replace(task, augment=default_augment(task) if self.augment is True else self.augment)
        self.source_prior_ = (counts / counts.sum()).numpy()
        validation = None
        if kept_out is not None:
            held_target = torch.from_numpy(np.asarray(kept_out[1])).long()
            validation = self._batches(kept_out[0], held_target, inputs.dtype)

        return self._fit_task(task, inputs.shape[1:], validation, started, callback)

    def fit_rows(
        self, rows: Rows, num_classes: int, validation_data: tuple[np.ndarray, np.ndarray] | None = None
    ) -> "MetaBalanceClassifier":
        """Trains the network on rows that do not fit into memory; they are ready, float32, and classes are indices.

        Args:
            rows: See :mod:`metabalance.data.streamed`; ``preprocess`` must be None.
            num_classes: C; every class must occur.
            validation_data: ``(X (N, D), y (N,))``, in memory; nothing is held out without it.

        Raises:
            ValueError: The recipe needs all rows at once, or a class has none.

        >>> from metabalance.data.streamed import ArrayRows
        >>> X, y = torch.randn(500, 3), torch.arange(500) % 10 // 9
        >>> model = MetaBalanceClassifier("metabalance", preprocess=None, epochs=1, random_state=0)
        >>> model.fit_rows(ArrayRows(X, y, kept=100), num_classes=2).predict_proba(X.numpy()).shape
        (500, 2)
        """
        started = time.monotonic()
        self._check_parameters()
        if self.preprocess is not None:
            raise ValueError("streamed rows are ready as they come; set preprocess=None")
        if asked := self._asked():
            raise ValueError(
                f"streamed rows are trained by one process in plain steps, but {', '.join(asked)} was asked for"
            )
        counts = torch.as_tensor(rows.unit_counts.sum(axis=0), dtype=torch.float64)
        if len(counts) != num_classes or not bool((counts > 0).all()):
            raise ValueError(
                f"every one of {num_classes} classes needs training rows, but there are {counts.tolist()}"
            )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.classes_ = np.arange(num_classes)
        self.n_features_in_, self.preprocessor_ = rows.num_features, None
        self.image_shape_: tuple[int, ...] | None = None
        self.class_weight_ = class_weights(counts, self.class_weight, list(self.classes_)).numpy()
        weights = (
            None if self.class_weight is None else _average_one(torch.as_tensor(self.class_weight_), counts)
        )
        task = Task.of_rows(
            rows, num_classes, class_weight=weights, batch_size=self.batch_size, seed=seed, epochs=self.epochs
        )
        if self.augment:
            task = replace(task, augment=default_augment(task) if self.augment is True else self.augment)
        self.source_prior_ = (counts / counts.sum()).numpy()
        validation = None
        if validation_data is not None:
            X, y = (torch.from_numpy(np.asarray(part)) for part in validation_data)
            validation = list(zip(X.split(rows_at_once(X)), y.long().split(rows_at_once(X))))
        return self._fit_task(task, (rows.num_features,), validation, started)

    def _fit_task(
        self,
        task: Task,
        shape: Sequence[int],
        validation: Any,
        started: float,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> "MetaBalanceClassifier":
        plan = self._fit_plan(task, task.num_classes, shape, validation, started, callback)
        if plan.finished_prior is not None:
            self.training_prior_ = np.asarray(plan.finished_prior, dtype=np.float64)
        return self

    def _phase_begins(self, plan: Plan) -> None:
        # The metric of a phase is judged at the source prior, which the phase's own prior leads to.
        self.training_prior_ = np.asarray(plan.training_prior, dtype=np.float64)

    def _monitoring(self) -> dict[str, Any]:
        metric = get_metric(self.monitor)
        positive = self._positive()

        def monitor(probabilities: np.ndarray, target: np.ndarray) -> float:
            scores = self._source(probabilities, "source")
            if len(self.classes_) > 2:
                return metric(scores, target)
            return metric(scores[:, positive], (target == positive).astype(np.int64))

        return {
            "monitor": monitor,
            "greater_is_better": metric.greater_is_better,
            "min_positives": self.min_positives,
        }

    # ----------------------------------------------------------------------------------------- predict

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Log-probabilities ``(N, C)`` under the prior of the constructor."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict_proba(self, X: Any, prior: str | Sequence[float] | None = None) -> np.ndarray:
        """Probabilities ``(N, C)`` of the classes in the order of ``classes_``.

        Args:
            X: Features ``(N, D)``.
            prior: In place of the constructor's ``prior``.
        """
        raw = torch.softmax(self._outputs(X).double(), dim=1).numpy()
        return self._source(raw, self.prior if prior is None else prior)

    def predict(self, X: Any) -> np.ndarray:
        """Labels ``(N,)``: the most probable, a class counting for its ``class_weight``.

        Class weights are what a missed row of the class costs; ``predict_proba`` stays free of them under the
        source prior. For thresholds chosen on held-out data see ``metabalance.adjust``.
        """
        probabilities = self.predict_proba(X)
        if self.prior != "training":
            probabilities = probabilities * self.class_weight_
        return self.classes_[probabilities.argmax(axis=1)]

    def _source(self, probabilities: np.ndarray, prior: Any) -> np.ndarray:
        if isinstance(prior, str):
            if prior not in ("source", "training"):
                raise ValueError(
                    f"prior={prior!r} is unknown; use 'source', 'training' or one share per class"
                )
            goal = self.source_prior_ if prior == "source" else self.training_prior_
        else:
            goal = np.asarray(prior, dtype=np.float64)
        return shift_prior(probabilities, self.training_prior_, goal)

    # ----------------------------------------------------------------------------------------- helpers

    def _hold_out(
        self, X: Any, target: np.ndarray, weight: np.ndarray | None, seed: int, given: tuple[Any, Any] | None
    ) -> tuple[Any, np.ndarray, np.ndarray | None, tuple[Any, np.ndarray] | None]:
        if given is not None:
            rows, labels = self._validated(given[0]), np.asarray(given[1])
            unknown = ~np.isin(labels, self.classes_)
            if unknown.any():
                raise ValueError(
                    f"validation_data holds the label {labels[unknown].tolist()[0]!r}, which y does not"
                )
            return X, target, weight, (rows, np.searchsorted(self.classes_, labels))
        smallest = np.bincount(target).min()
        if int(smallest * self.validation_fraction) < self.min_positives:
            return X, target, weight, None
        index = np.arange(len(target))
        fit, held = train_test_split(
            index, test_size=self.validation_fraction, stratify=target, random_state=seed
        )
        take = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
        return take(fit), target[fit], None if weight is None else weight[fit], (take(held), target[held])

    def _positive(self) -> int:
        if self.positive is None:
            return int(np.argmin(self.source_prior_))
        if self.positive not in self.classes_:
            raise ValueError(f"positive={self.positive!r} is not among the classes {self.classes_.tolist()}")
        return int(np.flatnonzero(self.classes_ == self.positive)[0])


def _average_one(weights: Tensor, counts: Tensor) -> Tensor:
    """Class weights scaled so that rows weigh one on average: a learning rate then means the same with any."""
    return weights * (counts.sum() / (counts * weights).sum())
