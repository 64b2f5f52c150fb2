"""All checks, in order, on one subject."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.findings import Finding, known_codes, register
from metabalance.data.images import Images, holds_images, read_images
from metabalance.data.tables import read_table
from metabalance.study.audit.classes import check_classes
from metabalance.study.audit.groups import check_groups
from metabalance.study.audit.intake import image_subject, table_subject
from metabalance.study.audit.kind import ask_again, asked_kind
from metabalance.study.audit.labels import check_labels
from metabalance.study.audit.missing import check_missing
from metabalance.study.audit.overlap import check_overlap
from metabalance.study.audit.parts import Part
from metabalance.study.audit.planning import check_folds, check_metric, check_needs
from metabalance.study.audit.quick_model import check_signal, fit_quick_model
from metabalance.study.audit.result import Audit, concluded
from metabalance.study.audit.subject import Plan, Subject
from metabalance.study.audit.times import check_time
from metabalance.study.audit.twins import check_twins

__all__ = ["audit", "audit_images", "audit_subject", "audit_table"]

Codes = tuple[str, ...]
ON_ROWS: tuple[tuple[Codes, Callable[[Subject, Plan], Part]], ...] = (
    (("MB016", "MB018"), check_folds),
    (("MB032",), check_metric),
    (("MB020", "MB021"), check_twins),
    (("MB023",), check_overlap),
    (("MB024",), check_missing),
    (("MB025", "MB027", "MB034"), check_time),
    (("MB026", "MB028"), check_groups),
)
ON_MODEL: tuple[tuple[Codes, Callable[[Subject, Plan, Any], Part]], ...] = (
    (("MB029", "MB031"), check_signal),
    (("MB022",), check_labels),
    (("MB019",), check_needs),
)
LAST_OF_CLASSES = "MB100"
IMAGES_ONLY, TABLES_ONLY = ("MB012", "MB013", "MB014"), (
    "MB001", "MB002", "MB003", "MB004", "MB005", "MB006", "MB009", "MB010", "MB011",
)  # fmt: skip


def audit(
    source: Any, target: Any = None, *, mute: Iterable[str] = (), header: bool = True, delimiter: str | None = None,
    image_size: str | None = None, skip_broken: bool = False, **options: Any,
) -> Audit:  # fmt: skip
    """Audits a file, a folder of images, a frame or a matrix.

    Args:
        source: A path as :func:`~metabalance.data.tables.read_table` or :func:`~metabalance.data.images.read_images` takes
            it, images already read, a frame or a matrix.
        target: The target column or columns, or the classes or values; images have their folders' names.
        mute: Codes not to be told.
        header: Of a text table.
        delimiter: Of a text table.
        image_size: ``64`` or ``48x64``, for images of different sizes.
        skip_broken: Leaves out images that cannot be read.
        options: Of :func:`audit_table` or :func:`audit_images`.

    Raises:
        DataError: The data cannot be read, or the target is none for classification.
    """
    if isinstance(source, Images):
        return audit_images(source, mute=mute, **options)
    if not isinstance(source, (str, Path)):
        return audit_table(source, target, mute=mute, **options)
    path = Path(source)
    name = path.resolve().name
    if holds_images(path):
        from metabalance.study.given import parse_size

        if options.pop("task", None) == "regression":
            raise DataError(
                f"--task regression is for tables, but {path} holds images, whose folders are classes"
            )
        for option in ("groups", "time", "drop"):
            if options.pop(option, None):
                raise DataError(f"--{option} is for the columns of a table, but {path} holds images")
        images = read_images(path, parse_size(image_size), skip_broken=skip_broken)
        return audit_images(images, mute=mute, name=name, **options)
    if target is None:
        raise DataError(
            f"{path} is a table, so name the column to be predicted: --target y, or -1 for the last"
        )
    return audit_table(
        read_table(path, header=header, delimiter=delimiter), target, mute=mute, name=name, **options
    )


def audit_table(
    frame: Any, target: Any, *, task: str | None = None, positive: Any = None, groups: Any = None, time: Any = None,
    drop: Iterable[str] = (), mute: Iterable[str] = (), name: str = "table", **plan: Any,
) -> Audit:  # fmt: skip
    """Audits a frame, pandas or polars, or a matrix ``(N, D)``.

    Args:
        frame: All columns.
        target: The target column, by name or position, or the classes or values ``(N,)``; several columns of values by
            ``"a,b"``, a list of names, or ``(N, T)``.
        task: ``"classification"`` or ``"regression"``; by default the target tells.
        positive: The class of interest; by default the rarest.
        groups: A column, or labels ``(N,)``: customers, patients and the like, to be kept on one side of a split.
        time: A column, or times ``(N,)``: the test part is to be later than the training part.
        drop: Columns to leave out.
        mute: Codes not to be told.
        name: For titles.
        plan: ``folds``, ``metric``, ``half_width``, ``seed`` and ``model_rows`` of
            :class:`~metabalance.study.audit.subject.Plan`, or of
            :class:`~metabalance.study.values.audit.subject.ValuePlan`.

    Raises:
        DataError: There is no such column, or the target may be classes as well as values, or is neither.

    >>> import pandas as pd
    >>> rows = range(200)
    >>> frame = pd.DataFrame({"x": [i % 7 for i in rows], "k": 1, "y": [int(i % 20 == 0) for i in rows]})
    >>> report = audit_table(frame, "y", mute=["MB019", "MB022", "MB023", "MB029", "MB031"])
    >>> [f.code for f in report.findings if f.severity == "warning"]
    ['MB002', 'MB008', 'MB018', 'MB030']
    """
    codes = known_codes(mute)
    chosen = {key: value for key, value in plan.items() if value is not None}
    target, kind = asked_kind(frame, target, task, positive)
    roles: dict[str, Any] = {"groups": groups, "time": time, "drop": tuple(drop), "name": name}
    if kind == "values":
        from metabalance.study.values.audit.run import audit_values
        from metabalance.study.values.audit.subject import ValuePlan, value_subject

        values = value_subject(frame, target, asked=task is not None, **roles)
        return audit_values(values, ValuePlan(**chosen), codes)
    given = Plan(**chosen)
    subject = table_subject(frame, target, positive=positive, **roles)
    report = audit_subject(subject, given, codes)
    return report if task is not None else ask_again(report, subject)


def audit_images(
    images: Images, *, positive: Any = None, mute: Iterable[str] = (), name: str = "images", **plan: Any
) -> Audit:
    """Audits labelled images; see :func:`audit_table`.

    Raises:
        DataError: The images have no classes.
    """
    codes = known_codes(mute)
    chosen = {key: value for key, value in plan.items() if value is not None}
    return audit_subject(image_subject(images, positive=positive, name=name), Plan(**chosen), codes)


def audit_subject(subject: Subject, plan: Plan, muted: tuple[str, ...] = ()) -> Audit:
    """Makes every check that is not muted."""
    plan = plan.checked()
    findings: list[Finding] = [*subject.findings, *subject.base_findings]
    is_table = subject.images is None
    facts: dict[str, Any] = {"source": _source(subject)}
    skipped = dict.fromkeys(
        IMAGES_ONLY if is_table else TABLES_ONLY, f"for {'images' if is_table else 'tables'}"
    ) | {code: "for values" for code in register() if code > LAST_OF_CLASSES and code != "MB108"}
    parts = [check_classes(subject, plan)]
    nothing = is_table and (not subject.useful.shape[1])
    for codes, check in ON_ROWS:
        if set(codes) <= set(muted):
            continue
        if nothing and codes[0] in ("MB020", "MB023"):
            parts.append(Part(skipped=dict.fromkeys(codes, "no column is left")))
            continue
        parts.append(check(subject, plan))
    wanted = [(codes, check) for codes, check in ON_MODEL if not set(codes) <= set(muted)]
    model = "no column is left" if nothing or not wanted else fit_quick_model(subject, plan)
    parts += [check(subject, plan, model) for _, check in wanted]
    for part in parts:
        findings += part.findings
        facts |= part.facts
        skipped |= part.skipped
    return concluded(findings, facts, skipped, muted, subject.position)


def _source(subject: Subject) -> dict[str, Any]:
    images = subject.images
    return {
        "name": subject.name,
        "described": subject.described,
        "kind": "table" if images is None else "images",
        "task": "classification",
        "rows": len(subject.y),
        "columns": subject.frame.shape[1] if images is None else None,
        "shape": None if images is None else list(images.pixels.shape[1:]),
        "target": subject.target_name,
        "positive": subject.target.classes[subject.target.positive],
        "groups": subject.groups_name,
        "time": subject.time_name,
    }
