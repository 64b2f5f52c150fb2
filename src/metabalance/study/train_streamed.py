"""``fit`` on Parquet that does not fit into memory: samples are looked at, and batches stream past."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from metabalance.data.checks import apply_findings, check_table
from metabalance.data.errors import DataError
from metabalance.data.labelled_parts import FIT, HELD, VALIDATION, LabelledParts, ParquetRows
from metabalance.data.parts import ParquetParts
from metabalance.data.target import Target
from metabalance.study.candidates import BASELINES, Candidate, check_options
from metabalance.study.sources import Table
from metabalance.study.train import VALIDATION_FRACTION, Fractions, Training, finish_training

__all__ = ["STREAMED", "check_streamed", "open_streamed", "train_streamed"]

SAMPLE = 200_000  # rows that preprocessing is fitted on, and at most as many to validate and to judge on
RARE = 200  # validation rows of the rarest class before the sample may be cut
KEPT_ROWS = 400_000  # classes of fewer rows together stay in memory, preprocessed
KEPT_BYTES = 2**28
UNIT_BYTES = 2**29
# What needs class counts and batches only; a test trains them all.
STREAMED = (
    "erm", "balanced_batches", "m2m", "mixup", "oversample", "remix", "square_root", "undersample", "arb",
    "balanced_softmax", "cdb", "class_balanced", "class_smoothing", "class_weight", "dice", "focal",
    "label_aware_smoothing", "ldam", "ldam_drw", "logit_adjustment", "cmw_net", "learning_to_reweight",
    "meta_weight_net", "balanced_supcon", "joint_ssl", "moco_pretraining", "self_training", "supcon", "adversarial",
    "asam", "drw", "sam", "sam_a", "simplified", "srat", "two_phase", "metabalance", "crt", "lws",
    "posthoc_logit_adjustment", "tau_norm", "thresholding", "compose",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StreamedTable:
    """Counted and split Parquet, with the samples of it that a study looks at.

    Args:
        labelled: The files.
        rows: The training part.
        table: Validation rows, then held-out rows, in memory.
        validation: How many of them are for validation.
        preprocessor: Fitted on a sample of the training part.
    """

    labelled: LabelledParts
    rows: ParquetRows
    table: Table
    validation: int
    preprocessor: Any

    @property
    def classes(self) -> tuple[Any, ...]:
        return self.labelled.classes

    @property
    def positive(self) -> int:
        return self.labelled.positive

    @property
    def described(self) -> str:
        """Size and kind of the rows, in words."""
        parts, columns = self.labelled.parts, len(self.rows.features)
        files = "1 file" if len(parts.files) == 1 else f"{len(parts.files):,} files"
        return f"{parts.rows:,} rows in {files}, {columns} feature{'s' * (columns != 1)}, streamed"


def check_streamed(candidate: Candidate) -> None:
    """Refuses, before any work, what cannot be trained on streamed rows.

    Raises:
        DataError: The candidate needs all rows at once, with these options or with any.
    """
    if candidate.name in BASELINES or candidate.name not in STREAMED:
        raise DataError(
            f"{candidate.name} needs all rows in memory at once and cannot be streamed; leave --stream out, or use one "
            f"of {', '.join(STREAMED)}"
        )
    from metabalance.data.streamed import ArrayRows
    from metabalance.study.fitting import Settings, train_one

    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(400) % 4 == 0).long()
    X = torch.randn(400, 4, generator=generator) + y[:, None]
    for options in candidate.grid():
        settings = Settings(network={"epochs": 2} if "epochs" not in options else {}, max_seconds=0.2)
        try:
            check_options(candidate)
            train_one(candidate.name, options, ArrayRows(X, y), (X.numpy(), y.numpy()), 2, 0, settings)
        except Exception as error:  # whatever a library makes of it
            raise DataError(
                f"{candidate.label} cannot be trained on streamed rows: {' '.join(str(error).split())}"
            ) from error


def open_streamed(
    path: Path, target: str, *, positive: str | None = None, keep: tuple[str, ...] = (), drop: tuple[str, ...] = (),
    holdout: float = 0.0, seed: int = 0, missing_columns: Literal["error", "impute"] = "error",
) -> StreamedTable:  # fmt: skip
    """Reads Parquet twice: the classes of all rows, then samples of each part and the rows of small classes.

    Args:
        path: A file, a folder or a pattern.
        target: Name or position of the target column.
        positive: The positive class; by default the rarest.
        keep: Columns to keep though a check would drop them; the checks look at the sample.
        drop: Columns to leave out.
        holdout: Share of the rows kept aside until the end.
        seed: Of the split.
        missing_columns: The policy of ``predict``.

    Raises:
        DataError: The data cannot be used; one sentence says why and what to do.
    """
    from metabalance.data.preprocess import TablePreprocessor

    parts = ParquetParts(path)
    labelled = LabelledParts(
        parts, target, positive=positive, holdout=holdout, validation=VALIDATION_FRACTION, seed=seed
    )
    for part, name in ((FIT, "training"), (VALIDATION, "validation")):
        if not labelled.unit_counts[part].any(axis=0).all():
            rarest = labelled.classes[int(np.argmin(labelled.counts))]
            raise DataError(f"a class has no rows for the {name} part ({rarest!r}); it needs more rows")
    of_part = labelled.unit_counts.sum(axis=1)
    held, above = labelled.edges
    shares = [_share(of_part[VALIDATION]), _share(of_part[HELD]), min(1.0, SAMPLE / of_part[FIT].sum())]
    order = np.argsort(of_part[FIT], kind="stable")
    kept = order[np.cumsum(of_part[FIT][order]) <= KEPT_ROWS].tolist()
    ranges = [
        (held, held + shares[0] * (above - held)), (0.0, shares[1] * held), (1 - shares[2] * (1 - above), 1.0)
    ]  # fmt: skip
    validation, held_out, sample, small = labelled.gather(ranges, kept)
    encoded = Target(sample[1], labelled.classes, tuple(labelled.counts.tolist()), labelled.positive)
    for name in (*keep, *drop):
        if name == labelled.target:
            raise DataError(f"{name!r} is no feature but the target; neither keep nor drop it")
    known = sample[0].drop(columns=[c for c in drop if c in sample[0].columns])
    findings = check_table(known, labelled.target, encoded)
    features = apply_findings(sample[0].drop(columns=[labelled.target]), findings, keep=keep, drop=drop)
    names = list(features.columns)
    preprocessor = TablePreprocessor(missing_columns=missing_columns).fit(features)
    width = 4 * len(preprocessor.feature_names_out_)
    largest = max(unit.rows for unit in parts.units)
    if largest * width > UNIT_BYTES:
        raise DataError(
            f"{path} has a row group of {largest:,} rows, which is too large to be shuffled in memory; write the files "
            f"with row groups of at most {UNIT_BYTES // width:,} rows (row_group_size in pyarrow)"
        )
    resident, used = {}, 0
    for c in kept:
        rows = small[0].loc[small[1] == c, names]
        used += len(rows) * width
        if used > KEPT_BYTES:
            break
        resident[int(c)] = torch.from_numpy(preprocessor.transform(rows))
    import pandas as pd

    both = (
        pd.concat([validation[0][names], held_out[0][names]], ignore_index=True)
        if holdout
        else validation[0][names]
    )
    table = Table(
        Path(path).name, both, np.concatenate([validation[1], held_out[1]]), labelled.classes, labelled.positive,
        labelled.target, findings=tuple(findings),
    )  # fmt: skip
    rows = ParquetRows(labelled, names, preprocessor, resident)
    return StreamedTable(labelled, rows, table, len(validation[1]), preprocessor)


def train_streamed(streamed: StreamedTable, recipe: str, *, holdout: float = 0.0, **options: Any) -> Training:
    """As :func:`~metabalance.study.train.train_table`, with batches that are read while they are needed.

    Args:
        streamed: See :func:`open_streamed`.
        recipe: ``NAME`` or ``NAME(option=value)``.
        holdout: As it was opened with.
        options: Those of :func:`~metabalance.study.train.train_table`.
    """
    from metabalance.study.ship import candidate_of

    torch.set_num_threads(1)
    table, size = streamed.table, streamed.validation
    candidate = candidate_of(recipe, None, options.get("network"))
    index = np.arange(len(table.target))
    valid = (streamed.preprocessor.transform(table.take(index[:size])), table.target[:size])
    of_part = streamed.labelled.unit_counts.sum(axis=(1, 2))
    split = Fractions(int(of_part[FIT]), index[:size], index[size:])
    training = finish_training(
        table, candidate, streamed.rows, valid, streamed.preprocessor, split, holdout=holdout, **options
    )
    record = training.model.record
    record["data"] = {
        "name": table.name,
        "rows": streamed.labelled.parts.rows,
        "fingerprint": streamed.labelled.parts.fingerprint,
        "files": len(streamed.labelled.parts.files),
        "streamed": True,
    }
    record["split"] |= {"in_validation": int(of_part[VALIDATION]), "in_held_out": int(of_part[HELD])}
    return training


def _share(counts: np.ndarray) -> float:
    """The part of rows to be looked at: at most the sample's size, but enough of the rarest class."""
    total = counts.sum()
    if not total:
        return 1.0
    return float(min(1.0, max(SAMPLE / total, min(RARE / max(counts.min(), 1), 5 * SAMPLE / total))))
