"""Other scores of the same rows beside those judged: which differ, and how many positives it would take to tell."""

from collections.abc import Sequence
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.tables import resolve_column
from metabalance.judge import Metric, compare_models, get_metric
from metabalance.study.scored import Scored, read_numbers

__all__ = ["compare_columns"]

DEFAULT = ("average_precision", "roc_auc")


def compare_columns(
    scored: Scored,
    columns: Sequence[str],
    metrics: Sequence[Metric] = (),
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Each metric of other columns of scores, less that of the scores judged, on the same rows.

    Args:
        scored: The rows, of two classes.
        columns: Names of columns with scores of the positive class.
        metrics: Those of scores are compared; by default average precision and ROC AUC.
        level: Jointly for all columns, by Holm; and of each interval.
        resamples: Of the paired bootstrap.
        seed: Of the resamples.

    Returns:
        For each metric its ``name``, ``title``, ``value`` of the scores judged, ``method``, and ``rows`` (column, value,
        difference, low, high, p_holm, verdict, positives_to_tell, sentence).

    Raises:
        DataError: More than two classes, a column that is missing or holds no numbers, or no metric of scores.
    """
    if len(scored.classes) != 2:
        raise DataError(f"--against is for two classes, but {scored.name} has {len(scored.classes)}")
    chosen = [m for m in metrics if m.kind == "score"] if metrics else [get_metric(name) for name in DEFAULT]
    if not chosen:
        raise DataError(
            "--against compares scores, but the --metrics named are all of decisions; name one of scores"
        )
    others = {}
    for column in columns:
        name = resolve_column(scored.frame.columns, column)
        others[name] = read_numbers(scored.frame, name)
    own = "the scores judged"
    found = []
    for metric in chosen:
        for name, values in others.items():
            try:
                metric(values, scored.target, scored.weight)
            except ValueError as error:
                raise DataError(f"{metric.title} of the column {name!r}: {error}") from error
        compared = compare_models(
            {own: scored.scores, **others}, scored.target, metric, scored.weight, baseline=own, level=level,
            n_boot=resamples, groups=scored.groups, seed=seed,
        )  # fmt: skip
        rows = [
            {
                "column": row.model, "value": row.value, "difference": row.difference.interval.value,
                "low": row.difference.interval.low, "high": row.difference.interval.high, "p_holm": row.p_holm,
                "verdict": row.verdict, "positives_to_tell": row.positives_to_tell, "sentence": row.sentence,
            }
            for row in compared.rows
        ]  # fmt: skip
        found.append(
            {"name": metric.name, "title": metric.title, "value": compared.value,
             "method": compared.method, "rows": rows}
        )  # fmt: skip
    return found
