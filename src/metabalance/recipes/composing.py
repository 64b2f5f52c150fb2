"""Any parts together: one recipe whose slots are filled from other recipes.

``compose(sample=class_balanced, loss=focal, step=sam)`` takes the stream, the loss and the step that these
recipes would have taken, and follows what all of them together do to the class prior. What does not go
together is refused with the reason; what goes together but corrects the prior twice is done and said.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.counts import class_priors
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.engine import Objective, plain_step
from metabalance.recipes import adjusting, baseline, costing, meta, moving, representing, sampling, weighing
from metabalance.recipes.base import Mixed, Plan, single_phase, steps_per_epoch
from metabalance.streams import Task, stream

__all__ = ["compose"]

Recipe = str | Callable[..., Plan] | None

# Which recipes may fill a slot: those whose difference to plain training lies in it alone.
SLOTS: dict[str, tuple[str, ...]] = {
    "loss": (*costing.__all__, "drw"),
    "mix": ("mixup", "cutmix", "remix"),
    "weigh": ("learning_to_reweight", "meta_weight_net", "cmw_net"),
    "penalty": ("supcon", "balanced_supcon", "joint_ssl"),
    "step": ("sam", "asam", "sam_a", "adversarial", "metabalance"),
    "adjust": ("posthoc_logit_adjustment", "thresholding", "tau_norm", "crt", "lws"),
}
_MODULES = (baseline, sampling, costing, weighing, representing, moving, meta, adjusting)


def compose(
    task: Task,
    sample: str = "natural",
    loss: Recipe = None,
    mix: Recipe = None,
    weigh: Recipe = None,
    penalty: Recipe = None,
    step: Recipe = None,
    adjust: Recipe = None,
) -> Plan:
    """Parts of several recipes in one training run.

    Args:
        sample: A stream, see :data:`~metabalance.streams.STREAMS`.
        loss: A recipe whose loss is taken, such as ``ldam``.
        mix: ``mixup``, ``cutmix`` or ``remix``.
        weigh: ``learning_to_reweight``, ``meta_weight_net`` or ``cmw_net``.
        penalty: ``supcon``, ``balanced_supcon`` or ``joint_ssl``.
        step: ``sam``, ``asam``, ``sam_a``, ``adversarial`` or ``metabalance``.
        adjust: ``posthoc_logit_adjustment``, ``thresholding``, ``tau_norm``, ``crt`` or ``lws``.

    In Python a slot also takes a function ``(task) -> Plan``, such as a recipe with some of its options set by
    :func:`functools.partial`.

    Raises:
        ValueError: A recipe that does not fill this slot, or parts that do not go together, with the reason.
    """
    names = {
        "loss": loss, "mix": mix, "weigh": weigh, "penalty": penalty, "step": step, "adjust": adjust,
    }  # fmt: skip
    _refuse_senseless(names)
    plans = {slot: _plan(slot, recipe, task) for slot, recipe in names.items() if recipe is not None}
    costs: Any = plans.get("loss")
    moves = plans.get("weigh") or plans.get("step")
    penalties: Any = plans["penalty"].objective if "penalty" in plans else None
    pairs = [] if penalties is None else list(zip(penalties.penalties, penalties.coefficients))
    if "penalty" in plans and (views := _transform(plans["penalty"])) is not None:
        task = replace(task, augment=views)
    loader, prior, notes = stream(task, sample)
    if "mix" in plans:
        loader = Mixed(loader, _transform(plans["mix"]), task)
    natural = single_phase(task).scores_prior
    effects = {"sample": _ratio(prior, natural)}
    effects |= {slot: _ratio(plans[slot].scores_prior, natural) for slot in ("loss", "mix") if slot in plans}
    plan = Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(costs.objective.loss if costs else nn.CrossEntropyLoss(reduction="none"), pairs),
        training_prior=class_priors(prior * math.prod(effects[slot] for slot in effects if slot != "sample")),
        parts=tuple(part for p in plans.values() for part in p.parts),
        prepare=costs.prepare if costs else None,
        select_from=max((p.select_from for p in plans.values()), default=0.0),
        notes=tuple(dict.fromkeys((*notes, *(note for p in plans.values() for note in p.notes)))),
        step=moves.step if moves else plain_step,
    )
    if "adjust" in plans:
        plan = _adjusted(plan, plans["adjust"], effects)
    return replace(plan, notes=(*plan.notes, *_twice(effects)))


def _plan(slot: str, recipe: Recipe, task: Task) -> Plan:
    if callable(recipe):
        return recipe(task)
    if recipe not in SLOTS[slot]:
        raise ValueError(f"{slot}={recipe!r} does not fill this slot; use one of {', '.join(SLOTS[slot])}")
    make = next(getattr(module, recipe) for module in _MODULES if recipe in module.__all__)
    return make(task)


def _refuse_senseless(names: dict[str, Recipe]) -> None:
    if names["weigh"] is not None and names["step"] is not None:
        raise ValueError(
            f"weigh={names['weigh']!r} takes the step itself, with a look-ahead of its own; leave step out"
        )
    if names["loss"] in ("ldam", "ldam_drw") and names["adjust"] in ("tau_norm", "crt", "lws"):
        raise ValueError(
            f"adjust={names['adjust']!r} changes the lengths of the class vectors, and those of "
            f"loss={names['loss']!r} are all one; leave one of the two out"
        )
    if names["penalty"] is not None and names["step"] == "metabalance":
        raise ValueError(
            f"step='metabalance' looks ahead with the network's own parameters, and penalty={names['penalty']!r} "
            "has a projection beside it; leave one of the two out"
        )
    if names["mix"] is not None and names["step"] == "adversarial":
        raise ValueError(
            "step='adversarial' attacks the label of a row, and mixed rows have two; leave mix out"
        )


def _transform(plan: Plan) -> Any:
    """What a recipe does to its batches, beyond the task's own augmentation."""
    inner = plan.loader.loader
    return inner.transform if isinstance(inner, Transformed) else None


def _adjusted(plan: Plan, after: Plan, effects: dict[str, Tensor]) -> Plan:
    if after.then is not None:  # a second phase: the parts are those of the first
        return replace(plan, share=after.share, then=after.then)
    left = after.scores_prior if after.finished_prior is None else after.finished_prior
    effects["adjust"] = _ratio(left, after.scores_prior)
    return replace(
        plan, finish=after.finish, finished_prior=class_priors(plan.scores_prior * effects["adjust"])
    )


def _ratio(prior: Tensor, reference: Tensor) -> Tensor:
    """What a part does to the prior ``(C,)``, up to a factor."""
    return torch.where(reference > 0, prior / reference.clamp_min(1e-300), 0.0)


def _twice(effects: dict[str, Tensor]) -> tuple[str, ...]:
    """A note if two parts each take the prior out."""
    acting = [
        slot for slot, effect in effects.items()
        if float(effect[effect > 0].max() / effect[effect > 0].min()) > 1.05
    ]  # fmt: skip
    if len(acting) < 2:
        return ()
    return (
        f"{' and '.join(acting)} each correct the class prior: the scores favour rare classes twice over. "
        "Probabilities are brought back to the source prior, but one correction is mostly enough",
    )
