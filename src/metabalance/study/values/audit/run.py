"""All checks of a continuous target, in order, on one subject."""

from collections.abc import Callable
from typing import Any

from metabalance.data.findings import Finding, register
from metabalance.study.audit.parts import Part
from metabalance.study.audit.result import Audit, concluded
from metabalance.study.values.audit.columns import check_missing_values
from metabalance.study.values.audit.density import check_density
from metabalance.study.values.audit.equal import check_contradictions, check_near
from metabalance.study.values.audit.order import check_order, check_value_groups
from metabalance.study.values.audit.planning import check_rare_rows, check_value_folds, check_value_metric
from metabalance.study.values.audit.quick_model import check_value_signal, fit_value_model
from metabalance.study.values.audit.shape import check_shape
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject
from metabalance.study.values.audit.ties import check_ties

__all__ = ["VALUES_ONLY", "audit_values"]

Codes = tuple[str, ...]
ON_ROWS: tuple[tuple[Codes, Callable[[ValueSubject, ValuePlan], Part]], ...] = (
    (("MB102", "MB104"), check_shape),
    (("MB103", "MB105", "MB111"), check_ties),
    (("MB016", "MB116"), check_value_folds),
    (("MB118",), check_value_metric),
    (("MB112",), check_contradictions),
    (("MB113",), check_near),
    (("MB110",), check_missing_values),
    (("MB025", "MB114", "MB115"), check_order),
    (("MB026", "MB028"), check_value_groups),
)
ON_MODEL: tuple[tuple[Codes, Callable[[ValueSubject, ValuePlan, Any], Part]], ...] = (
    (("MB029", "MB031"), check_value_signal),
    (("MB117",), check_rare_rows),
)
ON_COLUMNS = ("MB110", "MB112", "MB113")
SHARED = ("MB001", "MB002", "MB003", "MB004", "MB005", "MB006", "MB007", "MB009", "MB010", "MB011", "MB016", "MB025", "MB026",
          "MB028", "MB029", "MB031")  # fmt: skip
VALUES_ONLY = tuple(code for code in register() if code >= "MB101" and code != "MB108")


def audit_values(subject: ValueSubject, plan: ValuePlan, muted: tuple[str, ...] = ()) -> Audit:
    """Makes every check of values that is not muted."""
    plan = plan.checked()
    findings: list[Finding] = [*subject.findings, *subject.base_findings]
    facts: dict[str, Any] = {"source": _source(subject)}
    skipped = {code: "for classes" for code in register() if code < "MB101" and code not in SHARED}
    parts = [check_density(subject, plan)]
    nothing = not subject.useful.shape[1]
    for codes, check in ON_ROWS:
        if set(codes) <= set(muted):
            continue
        if nothing and codes[0] in ON_COLUMNS:
            parts.append(Part(skipped=dict.fromkeys(codes, "no column is left")))
            continue
        parts.append(check(subject, plan))
    wanted = [(codes, check) for codes, check in ON_MODEL if not set(codes) <= set(muted)]
    model = "no column is left" if nothing or not wanted else fit_value_model(subject, plan)
    parts += [check(subject, plan, model) for _, check in wanted]
    for part in parts:
        findings += part.findings
        facts |= part.facts
        skipped |= part.skipped
    return concluded(findings, facts, skipped, muted, subject.position)


def _source(subject: ValueSubject) -> dict[str, Any]:
    return {
        "name": subject.name, "described": subject.described, "kind": "table", "task": "regression", "rows": len(subject.y),
        "columns": subject.frame.shape[1], "shape": None, "target": subject.target_name, "targets": list(subject.names),
        "positive": None, "groups": subject.groups_name, "time": subject.time_name,
    }  # fmt: skip
