"""What a model in use should be asked: are its rows still those it knows, and is it still as good as it promised?

Four questions about new rows, none of which needs their classes: have the shares of the classes moved, have the scores,
have the columns, and what precision, recall and cost do the probabilities imply. With classes a fifth: is the model as
good as promised. An answer raises an alarm only when chance does not explain it and it is large enough to matter.
"""

import copy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.adjust import Calibrator, estimate_prior_bbse, estimate_prior_em, shift_prior
from metabalance.data.errors import DataError
from metabalance.data.preprocess import TablePreprocessor
from metabalance.plain import plain
from metabalance.study.drift import FLOOR, Drift, score_drift
from metabalance.study.expected import ASSUMES, expected_performance
from metabalance.study.promise import WORSE, Kept, compare_with_promise
from metabalance.study.reference import Reference, thinned
from metabalance.study.rows import Finding, compare_columns, readable_rows

__all__ = ["Monitored", "monitor_rows"]

ODDS = 1.25  # the least change of a class's odds that is worth a word
MOST = 50_000  # rows that estimates with resampling use
ROUNDED = 3  # digits of log odds: a batch of another size moves a network's scores by less


@dataclass(frozen=True)
class Monitored:
    """The answers about one table of new rows.

    Args:
        rows: How many.
        findings: What raises an alarm, or should be known.
        prior: Class shares: the model's, and the estimates with their intervals.
        score: Drift of the positive class's log odds.
        columns: Drift of each column, with ``p_holm``.
        expected: Metrics that the probabilities imply.
        kept: With classes, each metric against the promise.
        notes: What limits the answers.
    """

    rows: int
    findings: tuple[Finding, ...]
    prior: dict[str, Any]
    score: dict[str, Any]
    columns: list[dict[str, Any]]
    expected: dict[str, Any]
    kept: list[Kept]
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
                "rows": self.rows,
                "findings": [asdict(f) for f in self.findings],
                "prior": self.prior,
                "score": self.score,
                "columns": self.columns,
                "expected": {"assumes": ASSUMES, "metrics": {k: asdict(v) for k, v in self.expected.items()}},
                "performance": [asdict(k) for k in self.kept] or None,
                "notes": list(self.notes),
            }
        )


def monitor_rows(
    model: Any,
    rows: Any,
    target: np.ndarray | None = None,
    *,
    reference: Reference | None = None,
    level: float = 0.95,
    tolerance: float = 0.02,
    n_boot: int = 300,
) -> Monitored:
    """Compares new rows with those that a model was judged on.

    Args:
        model: A :class:`~metabalance.study.ship.TrainedModel`.
        rows: A frame, or images ``(N, channels, height, width)``.
        target: Class indices ``(N,)``, -1 where the class is not known yet; or None.
        reference: In place of the model's own.
        level: Nominal coverage of intervals; tests use one minus it.
        tolerance: The loss of a metric that does not matter, see
            :func:`~metabalance.study.promise.compare_with_promise`.
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
    probabilities = lenient.predict_proba(readable)
    drifts, found = compare_columns(model.preprocessor, rows, reference, 1 - level)
    findings += found
    old = _sums_to_one(reference.probabilities)
    score = score_drift(
        _log_odds(old, model.positive), _log_odds(probabilities, model.positive),
        reference.weight(np.asarray(model.prior, dtype=float)),
    )  # fmt: skip
    calibrated, known = _recalibrated(model, reference, old, probabilities)
    prior, now = _prior_drift(
        model, reference, old, probabilities, calibrated, level, n_boot, findings, notes
    )
    if now is None and _moved(score, 1 - level):
        findings.append(
            Finding(
                "drift",
                f"the scores have moved {_size(score)}, and class shares do not explain it",
                alarm=True,
            )
        )
        notes.append(
            "the estimated shares and the expected metrics are not to be trusted: both take for granted that only shares change"
        )
    corrected = shift_prior(calibrated, model.prior, now) if now is not None else calibrated
    chosen = _rows_at_most(len(probabilities), MOST)
    if len(chosen) < len(probabilities):
        notes.append(f"estimates with resampling use {len(chosen):,} rows drawn at random")
    expected = expected_performance(
        corrected[chosen], model.decision.decide(probabilities[chosen]), model.positive, cost=model.record.get("cost"),
        reference=known,
        level=level, draws=n_boot,
    )  # fmt: skip
    kept: list[Kept] = []
    if target is not None:
        kept = _kept(model, reference, probabilities, target, level, tolerance, n_boot, findings, notes)
    columns = [d | {"effect": e} for d, e in drifts]
    return Monitored(
        len(rows),
        tuple(findings),
        prior,
        asdict(score) | {"effect": score.effect},
        columns,
        expected,
        kept,
        tuple(notes),
    )


def readable_model(model: Any, rows: Any, findings: list[Finding]) -> tuple[Any, Any]:
    """The model and the rows, with absent and unreadable columns as missing, and a finding for each."""
    if not isinstance(model.preprocessor, TablePreprocessor):
        return model, rows
    rows, found = readable_rows(model.preprocessor, rows)
    findings += found
    lenient = copy.copy(model)
    lenient.preprocessor = copy.copy(model.preprocessor)
    lenient.preprocessor.missing_columns = "impute"
    return lenient, rows


def _recalibrated(
    model: Any, reference: Reference, old: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
    """New probabilities as the reference rows would have them, and those rows with classes and weights.

    On the validation part this is next to nothing, for the model was calibrated there. Held-out rows tell better.
    """
    if reference.target is None:
        return new, None
    weight = reference.weight(np.asarray(model.prior, dtype=float)) * reference.counts.sum() / len(old)
    again = Calibrator().fit(_log(old), reference.target, sample_weight=weight)
    return again(_log(new)), (again(_log(old)), reference.target, weight)


def _prior_drift(
    model: Any, reference: Reference, old: np.ndarray, raw: np.ndarray, new: np.ndarray, level: float, n_boot: int,
    findings: list[Finding], notes: list[str],
) -> tuple[dict[str, Any], np.ndarray | None]:  # fmt: skip
    """Both estimates; the new class shares if the two find a change, else None."""
    names, before = [str(c) for c in model.classes], np.asarray(model.prior, dtype=float)
    chosen = _rows_at_most(len(new), MOST)
    # A class is looked at in each estimate: Bonferroni, of two classes one.
    each = 1 - (1 - level) / (1 if len(names) == 2 else len(names))
    em = estimate_prior_em(new[chosen], before, n_boot=n_boot, level=each)
    estimates = {"em": em}
    if reference.target is not None:
        estimates["bbse"] = estimate_prior_bbse(old, reference.target, raw[chosen], n_boot=n_boot, level=each)
    told: dict[str, Any] = {"classes": names, "model": before.tolist()}
    moved = np.ones(len(names), dtype=bool)
    usable = 0
    for method, estimate in estimates.items():
        told[method] = {
            "prior": estimate.prior.tolist(), "low": estimate.low.tolist(), "high": estimate.high.tolist(),
            "note": estimate.note,
        }  # fmt: skip
        if estimate.note:
            notes.append(f"{method}: {estimate.note}")
        if np.isfinite(estimate.low).all():
            usable += 1
            moved &= (estimate.low > before) | (estimate.high < before)
            moved &= np.sign(estimate.prior - before) == np.sign(em.prior - before)
    now = np.clip(em.prior, 1e-6, 1 - 1e-6)
    odds = now / (1 - now) / (before / (1 - before))
    moved &= (odds > ODDS) | (odds < 1 / ODDS)
    told["moved"] = [name for name, m in zip(names, moved) if m and usable]
    if not (moved.any() and usable):
        return told, None
    now /= now.sum()
    if reference.target is not None:
        # If only the shares had changed, the old rows in the new mix would have the new scores.
        rest = score_drift(
            _log_odds(old, model.positive), _log_odds(raw, model.positive), reference.weight(now)
        )
        told["explained"] = not _moved(rest, 1 - level)
        if not told["explained"]:
            told["moved"] = []
            return told, None
    shown = [model.positive] if len(names) == 2 else np.flatnonzero(moved)
    which = ", ".join(
        f"{names[c]} {before[c]:.3g} -> {em.prior[c]:.3g} [{em.low[c]:.3g}, {em.high[c]:.3g}]" for c in shown
    )
    findings.append(
        Finding(
            "prior",
            f"the shares of the classes have moved: {which}; score with --prior, or fit again",
            alarm=True,
        )
    )
    return told, now


def _kept(
    model: Any, reference: Reference, probabilities: np.ndarray, target: np.ndarray, level: float, tolerance: float,
    n_boot: int, findings: list[Finding], notes: list[str],
) -> list[Kept]:  # fmt: skip
    if reference.target is None:
        raise DataError(
            "the reference rows have no classes, so there is no promise; name a --reference with the target"
        )
    known = target >= 0
    if not known.any():
        notes.append("no row's class is known yet")
        return []
    if not known.all():
        notes.append(
            f"{int((~known).sum()):,} of {len(target):,} rows have no class yet and were left out of the comparison"
        )
    kept = compare_with_promise(
        model, reference, probabilities[known], target[known], tolerance=tolerance, level=level, n_boot=n_boot
    )
    if reference.part == "validation":
        notes.append(
            "the promise is that of the validation part, which served for choices too: it is optimistic"
        )
    for one in kept:
        if one.verdict == WORSE:
            findings.append(
                Finding(
                    "performance",
                    f"{one.metric} is worse than promised: {one.now} against {one.promised}",
                    alarm=True,
                )
            )
    return kept


def _moved(drift: Drift, alpha: float) -> bool:
    return drift.p < alpha and drift.effect >= FLOOR


def _sums_to_one(probabilities: np.ndarray) -> np.ndarray:
    p = np.asarray(probabilities, dtype=np.float64)
    return p / p.sum(axis=1, keepdims=True)


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, 1e-30))


def _log_odds(probabilities: np.ndarray, positive: int) -> np.ndarray:
    p = np.clip(probabilities[:, positive].astype(np.float32).astype(np.float64), 1e-7, 1 - 1e-7)
    return np.round(np.log(p / (1 - p)), ROUNDED)


def _rows_at_most(rows: int, most: int) -> np.ndarray:
    return thinned(np.zeros(rows, dtype=int), most)


def _size(drift: Drift) -> str:
    return f"(KS {drift.distance:.2f}, PSI {drift.psi:.2f})"
