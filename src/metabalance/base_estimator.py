"""What the classifier and the regressor share: checks, preparation, the network, the phases of a plan, and prediction."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_feature_names, check_is_fitted, validate_data
from torch import Tensor, nn

from metabalance import engine
from metabalance.data.arrays import as_tensor, is_mixed
from metabalance.heads import last_linear
from metabalance.launch import fit_in_processes
from metabalance.networks import Standardize, build_network
from metabalance.ranks import alone, rank
from metabalance.recipes import Plan, get_recipe, recipe_options
from metabalance.recipes.needs import recipe_needs
from metabalance.run import joined_fabric
from metabalance.strategies import asked_for, check

# Tables up to this many batches are searched for equal rows: they may turn out to be a single batch.
MERGED_BATCHES = 16

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": lambda params, **kw: torch.optim.SGD(params, momentum=0.9, nesterov=True, **kw),
}


class NetworkEstimator(BaseEstimator):
    """A network trained by a recipe. A subclass names the kind of target, and says how an epoch is judged.

    It has the constructor's arguments, which are listed where a user reads them; ``fit``, which ends in
    :meth:`_fit_plan`; and the methods that raise NotImplementedError here.
    """

    _kind: ClassVar[str]
    _y_checks: ClassVar[dict[str, Any]]

    def _monitoring(self) -> dict[str, Any]:
        """Keywords of the engine's ``fit``: ``monitor``, ``greater_is_better``, ``report``, ``min_positives``."""
        raise NotImplementedError

    def _phase_begins(self, plan: Plan) -> None:
        """Takes over what a phase says of its scores."""
        raise NotImplementedError

    def _fit_plan(
        self,
        task: Any,
        outputs: int,
        shape: Sequence[int],
        validation: Any,
        started: float,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> Plan:
        """Trains on a task, of rows ``(N, *shape)`` in memory or streamed, all phases; returns the last one's plan."""
        recipe, options, seed = (
            get_recipe(self.recipe, self._kind),
            dict(self.recipe_options or {}),
            task.seed,
        )
        streamed = getattr(task, "rows", None) is not None
        # Global random state (initial weights, dropout) is the estimator's own for the time of the fit.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            dtype = torch.float32 if streamed else task.inputs.dtype
            self.module_ = self._network(shape, outputs).to(dtype)
            for module in self.module_.modules():
                if isinstance(module, Standardize):
                    module.fit(task.inputs)
            plan = recipe(replace(task, feature_dim=_feature_dim(self.module_)), **options)
            histories = [self._train(plan, validation, started, 0, callback)]
            notes = [*plan.notes]
            while plan.then is not None:
                # A phase starts from a random state of its own: one that was finished before an interruption
                # would not leave the state that it left then.
                torch.manual_seed(seed + len(histories))
                plan = plan.then(self.module_)
                histories.append(self._train(plan, validation, started, len(histories), callback))
                notes += plan.notes
            if plan.finish is not None:
                plan.finish(self.module_)
        self.notes_, self.histories_, self.history_ = tuple(notes), tuple(histories), histories[-1]
        self.module_ = self.module_.cpu().eval()
        return plan

    def _train(
        self,
        plan: Plan,
        validation: Any,
        started: float,
        phase: int,
        callback: Callable[[dict[str, Any]], None] | None,
    ) -> engine.History:
        epochs = plan.epochs or max(1, round(plan.share * self.epochs))
        if plan.prepare is not None:
            plan.prepare(self.module_)
        self._phase_begins(plan)
        dtype = next((p.dtype for p in self.module_.parameters()), torch.float32)
        trainable = [p for p in self.module_.to(dtype).parameters() if p.requires_grad]
        if isinstance(plan.objective, nn.Module):
            own = [p for p in plan.objective.parameters() if p.requires_grad]
            trainable += plan.objective.to(dtype).parameters() if own else []
        if plan.optimizer is not None:
            optimizer = plan.optimizer(trainable)
        else:
            make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
            optimizer = make(trainable, lr=self.lr * plan.lr_scale, weight_decay=self.weight_decay)
        scheduler = None
        if plan.scheduler is not None:
            scheduler = plan.scheduler(optimizer, epochs)
        elif self.schedule == "cosine":
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        if rank():
            # Weights begin alike everywhere, but what is drawn while training is each process's own.
            torch.manual_seed(torch.initial_seed() + rank())
        judging = self._monitoring()
        if not plan.validate:
            judging["monitor"] = "loss"
        select_from = min(int(plan.select_from * epochs), epochs - 1)

        def told(row: dict[str, Any]) -> None:
            judged = plan.then is None and plan.validate and row["epoch"] >= select_from
            callback(row | {"selectable": judged})  # type: ignore[misc]

        return engine.fit(
            self.module_,
            plan.loader,
            objective=plan.objective,
            optimizer=optimizer,
            step=plan.step,
            parts=plan.parts,
            scheduler=scheduler,
            epochs=epochs,
            validation=validation if plan.validate else None,
            patience=self.patience,
            select_from=select_from,
            clip_norm=self.clip_norm,
            fabric=self._fabric(),
            accumulate=self.accumulate,
            compile=self.compile,
            shard=self.strategy == "fsdp",
            checkpoint=self.checkpoint
            if not (self.checkpoint and phase)
            else f"{self.checkpoint}.phase{phase + 1}",
            checkpoint_seconds=self.checkpoint_seconds,
            progress=bool(self.verbose),
            deadline=None if self.max_seconds is None else started + self.max_seconds,
            callback=None if callback is None else told,
            **judging,
        )

    def _outputs(self, X: Any) -> Tensor:
        """The network's outputs ``(N, columns)``."""
        check_is_fitted(self, "module_")
        dtype = next((p.dtype for p in self.module_.parameters()), torch.float32)
        inputs = self._ready(self._validated(X), dtype)
        with torch.inference_mode():
            return torch.cat([self.module_(part) for part in inputs.split(rows_at_once(inputs))])

    def _ready(self, rows: Any, dtype: torch.dtype) -> Tensor:
        """Validated rows as the network takes them."""
        return as_tensor(rows if self.preprocessor_ is None else self.preprocessor_.transform(rows), dtype)

    def _batches(self, rows: Any, target: Tensor, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        """Held-out rows and their target in few parts."""
        inputs = self._ready(rows, dtype)
        size = rows_at_once(inputs)
        return list(zip(inputs.split(size), target.split(size)))

    def _check_parameters(self) -> None:
        positive = {"epochs": Integral, "batch_size": Integral, "lr": Real}
        positive |= {"devices": Integral, "accumulate": Integral}
        for name, kind in positive.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) or value <= 0:
                word = "a whole number" if kind is Integral else "a number"
                raise ValueError(f"{name} must be {word} above 0, but {value!r} was given")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction must lie in [0, 1), but {self.validation_fraction!r} was given"
            )
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={self.optimizer!r} is unknown; use one of {', '.join(OPTIMIZERS)} or a callable"
            )
        options, known = self.recipe_options or {}, recipe_options(self.recipe, self._kind)
        unknown = next((name for name in options if name not in known), None)
        if unknown is not None:
            has = ", ".join(known) if known else "none"
            raise ValueError(f"the recipe {self.recipe!r} has no option {unknown!r}; it has {has}")
        if self.precision is not None and str(self.precision).startswith("16"):
            # Asked here: on a CPU Fabric would take bfloat16 in its place, with a warning only.
            raise ValueError(
                f"precision={self.precision!r} needs its losses scaled, which a step does not do; use 'bf16-mixed'"
            )
        if self.strategy not in ("auto", "ddp", "fsdp"):
            raise ValueError(f"strategy={self.strategy!r} is unknown; use 'auto', 'ddp' or 'fsdp'")
        if self.schedule not in (None, "cosine"):
            raise ValueError(f"schedule={self.schedule!r} is unknown; use None or 'cosine'")

    def _asked(self) -> list[str]:
        """The strategies asked for that not every recipe goes with."""
        devices = self.devices if alone() else max(self.devices, 2)
        return asked_for(devices, self.strategy, self.accumulate, self.compile)

    def _check_strategies(self) -> None:
        """Refuses a way of training that the recipe does not go with."""
        if asked := self._asked():
            needs = recipe_needs(self.recipe, dict(self.recipe_options or {}), self._kind)
            check(asked, needs, f"the recipe {self.recipe!r}")

    def _validated(self, X: Any, y: Any = "no_validation") -> Any:
        """Arrays are checked as scikit-learn does; data frames of mixed columns keep their types."""
        reset = not isinstance(y, str)
        shape = tuple(X.shape[1:]) if getattr(X, "ndim", 2) == 4 else None
        if reset:
            self.image_shape_ = shape
        elif shape != self.image_shape_:
            raise ValueError(
                f"the network was trained on {_shown(self.image_shape_)}, but X holds {_shown(shape)}; give the same kind"
            )
        if shape is not None:
            images = np.asarray(X)
            if images.dtype.kind in "ui":
                images = images.astype(np.float32) / 255
            return validate_data(
                self,
                images,
                y,
                reset=reset,
                dtype=[np.float32, np.float64],
                allow_nd=True,
                **({} if not reset else self._y_checks),
            )
        if not is_mixed(X):
            return validate_data(
                self,
                X,
                y,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan" if self.preprocess is not None else True,
                **({} if not reset else self._y_checks),
            )
        from metabalance.data.tables import to_pandas

        frame = to_pandas(X)
        _check_feature_names(self, frame, reset=reset)
        if reset:
            self.n_features_in_ = frame.shape[1]
            labels = np.asarray(y)
            if len(labels) != len(frame):
                raise ValueError(f"X has {len(frame)} rows, but y has {len(labels)}")
            return frame, labels
        return frame

    def _preprocessor(self, X: Any) -> Any:
        if self.preprocess is None or (not hasattr(X, "columns") and X.ndim == 4):
            return None
        if self.preprocess != "auto":
            from sklearn.base import clone

            return clone(self.preprocess)
        if hasattr(X, "columns"):
            from metabalance.data.preprocess import TablePreprocessor

            return TablePreprocessor()
        return make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())

    def _network(self, shape: Sequence[int], outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            from copy import deepcopy

            return deepcopy(self.module)
        if self.module is None or isinstance(self.module, str):
            return build_network(self.module, shape, outputs, self.hidden, self.dropout)
        return self.module(int(shape[0]) if len(shape) == 3 else int(np.prod(shape)), outputs)

    def _launch(self, *data: Any, **more: Any) -> Any:
        """Fits in as many processes of its own, and takes over what the first of them learned."""
        learned = fit_in_processes(self, self.devices, self.device.split(":")[0], data, more)
        self.__dict__.update(learned)
        return self

    def _fabric(self) -> Any:
        if not alone():
            return joined_fabric(self.device.split(":")[0], self.precision)
        if self.device in ("auto", "cpu") and self.precision is None and not torch.cuda.is_available():
            return None
        from lightning_fabric import Fabric

        return Fabric(accelerator=self.device.split(":")[0], devices=1, precision=self.precision)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.preprocess is not None
        return tags


def _shown(image_shape: tuple[int, ...] | None) -> str:
    return "a table" if image_shape is None else f"images {image_shape}"


def rows_at_once(rows: Tensor) -> int:
    """How many rows go through a network at once without gradients: activations of images are large."""
    return 65_536 if rows.dim() == 2 else max(1, 2**20 // max(rows[:1].numel(), 1))


def _feature_dim(model: nn.Module) -> int | None:
    try:
        return last_linear(model).in_features
    except ValueError:
        return None
