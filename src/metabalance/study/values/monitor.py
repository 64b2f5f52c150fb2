"""Are new rows still those that a model of values knows, and is it still as good as it promised?

What :mod:`metabalance.study.monitor` is for classes.

Without targets: have the columns moved, have the predictions, and are there more, or fewer, predictions of rare values? With
targets also: is the model as good as promised, region by region, and do as many targets lie inside their intervals?
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.judge.paired import holm
from metabalance.judge.regions import GROUPS
from metabalance.judge.wilson import wilson_interval
from metabalance.plain import plain
from metabalance.study.drift import FLOOR, level_drift, score_drift
from metabalance.study.monitor import ODDS, readable_model
from metabalance.study.promise import WORSE, Kept
from metabalance.study.rows import Finding, compare_columns
from metabalance.study.values.promise import compare_errors, compared_coverage, told
from metabalance.study.values.reference import ValueReference

__all__ = ["MonitoredValues", "monitor_values"]

DIGITS = 6  # of a prediction in deviations: a batch of another size moves a network's outputs by less


@dataclass(frozen=True)
class MonitoredValues:
    """The answers about one table of new rows.

    Args:
        rows: How many.
        findings: What raises an alarm, or should be known.
        regions: Of predictions, and of targets where they are known: shares of many, medium and few, before and now.
        predictions: Drift of the predictions of each target.
        columns: Drift of each column, with ``p_holm``.
        kept: With targets, each error and the coverage against the promise.
        coverage: With targets and intervals, the share inside by the region of the target.
        notes: What limits the answers.
    """

    rows: int
    findings: tuple[Finding, ...]
    regions: dict[str, list[dict[str, Any]]]
    predictions: list[dict[str, Any]]
    columns: list[dict[str, Any]]
    kept: list[Kept]
    coverage: list[dict[str, Any]]
    notes: tuple[str, ...]

    def alarms(self, on: tuple[str, ...] = ("drift", "prior", "performance")) -> list[Finding]:
        """The findings of these kinds that raise an alarm."""
        return [f for f in self.findings if f.alarm and f.kind in on]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, dated; NaN becomes None."""
        return plain(
            {
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
                "version": __version__,
                "kind": "values",
                "rows": self.rows,
                "findings": [asdict(f) for f in self.findings],
                "regions": self.regions,
                "predictions": self.predictions,
                "columns": self.columns,
                "performance": [asdict(k) for k in self.kept] or None,
                "coverage": self.coverage or None,
                "notes": list(self.notes),
            }
        )


def monitor_values(
    model: Any,
    rows: Any,
    target: np.ndarray | None = None,
    *,
    reference: ValueReference | None = None,
    level: float = 0.95,
    tolerance: float = 0.02,
    n_boot: int = 1000,
) -> MonitoredValues:
    """Compares new rows with those that a model was judged on.

    Args:
        model: A :class:`~metabalance.study.values.ship.TrainedRegressor`.
        rows: A frame, or images ``(N, channels, height, width)``.
        target: Values ``(N, T)``, NaN where one is not known yet; or None.
        reference: In place of the model's own.
        level: Nominal coverage of intervals; tests use one minus it.
        tolerance: The share of an error, and the loss of coverage, that does not matter.
        n_boot: Resamples.

    Raises:
        DataError: No rows, no column that the model knows, or no reference.
    """
    reference = reference or model.reference
    if reference is None:
        raise DataError(
            "the model keeps no reference rows; name a table of old rows with --reference, or fit it again"
        )
    if not len(rows):
        raise DataError("there are no new rows; nothing can be said about them")
    findings: list[Finding] = []
    notes: list[str] = []
    lenient, readable = readable_model(model, rows, findings)
    prediction, limits = lenient.outputs(readable)
    drifts, found = compare_columns(model.preprocessor, rows, reference, 1 - level)
    findings += found
    moved = _predictions(model, reference, prediction, 1 - level, findings)
    regions = {
        "predictions": _shares(
            model, reference.prediction, reference, prediction, 1 - level, "predictions", findings
        )
    }
    kept: list[Kept] = []
    coverage: list[dict[str, Any]] = []
    if target is not None:
        if reference.target is None:
            raise DataError(
                "the reference rows have no target, so there is no promise; name a --reference with the target"
            )
        known = np.isfinite(target).all(axis=1)
        if not known.all():
            notes.append(
                f"{int((~known).sum()):,} of {len(known):,} rows have no value yet and were left out of the comparison"
                if known.any()
                else "no row's value is known yet"
            )
        if known.any():
            truth = target[known]
            regions["targets"] = _shares(
                model, reference.target, reference, truth, 1 - level, "targets", findings
            )
            kept = compare_errors(
                model, reference, prediction[known], truth, tolerance=tolerance, level=level, n_boot=n_boot
            )
            notes.append(f"errors are compared at a level of {level:g} for all {len(kept)} of them together")
            if limits is not None:
                coverage, more = _covered(model, reference, limits[known], truth, tolerance, level)
                kept += more
            findings += [_worse(one) for one in kept if one.verdict == WORSE]
        if reference.part == "validation":
            notes.append(
                "the promise is that of the validation part, which served for choices too: it is optimistic"
            )
    elif any(drift["moved"] for drift in moved):
        notes.append(
            "without targets nobody can say whether the errors have grown; name --target once some are known"
        )
    columns = [d | {"effect": e} for d, e in drifts]
    return MonitoredValues(
        len(rows), tuple(findings), regions, moved, columns, kept, coverage, tuple(notes)
    )  # fmt: skip


def _predictions(
    model: Any, reference: ValueReference, prediction: np.ndarray, alpha: float, findings: list[Finding]
) -> list[dict[str, Any]]:
    drifts = []
    for t, name in enumerate(model.names):
        unit = model.regions[t].scale
        before, now = (np.round(p[:, t] / unit, DIGITS) for p in (reference.prediction, prediction))
        drifts.append(score_drift(before, now, reference.stands_for(), name=name))
    lines = []
    for drift, p in zip(drifts, np.asarray(holm([drift.p for drift in drifts]))):
        alarm = bool(p < alpha and drift.effect >= FLOOR)
        if alarm:
            of = f" of {drift.name!r}" if len(drifts) > 1 else ""
            message = f"the predictions{of} have moved (KS {drift.distance:.2f}, PSI {drift.psi:.2f})"
            findings.append(Finding("drift", message, alarm=True))
        lines.append(asdict(drift) | {"p_holm": float(p), "effect": drift.effect, "moved": alarm})
    return lines


def _shares(
    model: Any, old: np.ndarray, reference: ValueReference, new: np.ndarray, alpha: float, what: str,
    findings: list[Finding],
) -> list[dict[str, Any]]:  # fmt: skip
    """Shares of the regions before and now; an alarm where one has moved beyond chance, and its odds by a quarter."""
    weight = reference.stands_for()
    effective = weight.sum() ** 2 / (weight**2).sum()
    lines = []
    for t, name in enumerate(model.names):
        before = np.array([np.sum(weight[model.regions[t].of(old[:, t]) == group]) for group in GROUPS])
        now = np.array([float(np.sum(model.regions[t].of(new[:, t]) == group)) for group in GROUPS])
        before, share = before / before.sum(), now / now.sum()
        p = [
            level_drift(name, effective * np.array([b, 1 - b]), [n, now.sum() - n], (0.0, 0.0)).p
            for b, n in zip(before, now)
        ]
        odds = (
            (now + 0.5)
            / (now.sum() - now + 0.5)
            / ((before + 0.5 / effective) / (1 - before + 0.5 / effective))
        )
        # Each region of each target is looked at: Bonferroni.
        moved = (np.array(p) * len(GROUPS) * len(model.names) < alpha) & ((odds > ODDS) | (odds < 1 / ODDS))
        lines.append({
            "target": name, "before": dict(zip(GROUPS, before.tolist())), "now": dict(zip(GROUPS, share.tolist())),
            "p": dict(zip(GROUPS, map(float, p))), "moved": [g for g, m in zip(GROUPS, moved) if m],
        })  # fmt: skip
        if moved.any():
            of = f" of {name!r}" if len(model.names) > 1 else ""
            which = ", ".join(
                f"{g} {before[i]:.3g} -> {share[i]:.3g}" for i, g in enumerate(GROUPS) if moved[i]
            )
            findings.append(
                Finding(
                    "prior", f"the shares of the regions have moved, of the {what}{of}: {which}", alarm=True
                )
            )
    return lines


def _covered(
    model: Any,
    reference: ValueReference,
    limits: np.ndarray,
    target: np.ndarray,
    tolerance: float,
    level: float,
) -> tuple[list[dict[str, Any]], list[Kept]]:
    """Coverage by region, and against the promise."""
    promised = model.promise(None, None)[1]
    inside = (target >= limits[:, :, 0]) & (target <= limits[:, :, 1])
    lines = []
    for t, name in enumerate(model.names):
        of = model.regions[t].of(target[:, t])
        lines.append({
            "target": name, "promised": promised,
            "regions": {
                g: asdict(wilson_interval(float(inside[of == g, t].sum()), int((of == g).sum()), level)) for g in GROUPS
            },
        })  # fmt: skip
    before = None
    if reference.inside is not None and reference.part != "validation":
        before = reference.inside
    kept = compared_coverage(
        reference, inside, before, promised, model.names, tolerance=tolerance, level=level
    )
    return lines, kept


def _worse(one: Kept) -> Finding:
    return Finding(
        "performance",
        f"{one.metric} is worse than promised: {told(one.now)} against {told(one.promised)}",
        alarm=True,
    )
