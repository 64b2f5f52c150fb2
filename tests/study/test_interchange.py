"""Results for other tools: every figure comes through, under a name of its own, and nothing that is not JSON."""

import json

import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.study.interchange import evidently_of, to_evidently

ENTRY = {
    "when": "2026-01-02T03:04:05+00:00",
    "version": "0.1.0",
    "rows": 9,
    "status": 1,
    "score": {"psi": 0.25, "distance": 0.5, "wasserstein": None},
    "columns": [{"name": "age", "psi": 0.1, "distance": 0.2, "p_holm": 0.04}],
    "prior": {"classes": ["no", "yes"], "em": {"prior": [0.9, 0.1]}, "bbse": {"prior": [0.8, 0.2]}},
    "expected": {"metrics": {"recall": {"value": 0.7}}},
    "performance": [{"metric": "roc_auc", "now": {"value": 0.8}}],
    "findings": [{"alarm": True}, {"alarm": False}],
}
RESULT = {
    "created": "2026-01-02T03:04:05+00:00",
    "version": "0.1.0",
    "title": "table",
    "metrics": {"roc_auc": {"title": "ROC AUC"}},
    "recipes": [
        {"name": n, "label": n, "metrics": {"roc_auc": {"value": v, "low": None, "high": 1.0}}}
        for n, v in (("erm", 0.8), ("focal", 0.9))
    ],
}


@pytest.mark.parametrize(("result", "figures"), [(ENTRY, [9, 0.25, 0.5, 0.1, 0.2, 0.04, 0.9, 0.1, 0.8, 0.2, 0.7, 0.8, 1]),
                                                 (RESULT, [0.8, 1.0, 0.9, 1.0])])  # fmt: skip
def test_every_figure_comes_through(result, figures):
    snapshot = to_evidently(result)
    found = snapshot["metric_results"]
    assert [m["value"] for m in found.values()] == figures
    assert snapshot["top_level_metrics"] == list(found)
    for key, metric in found.items():
        assert metric["type"] == "evidently:metric_result_v2:SingleValue"
        assert metric["metric_value_location"]["metric"]["metric_id"] == key
    json.dumps(snapshot, allow_nan=False)


@pytest.mark.parametrize("result", [ENTRY, RESULT])
def test_evidently_reads_it(result):
    report = pytest.importorskip("evidently.core.report", reason="evidently is not installed")
    snapshot = report.Snapshot.loads(json.dumps(to_evidently(result)))
    values = [m["value"] for m in snapshot.dict()["metrics"]]
    assert values == [m["value"] for m in to_evidently(result)["metric_results"].values()]


def test_the_command(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "advice.json").write_text(json.dumps(RESULT))
    history = tmp_path / "history.json"
    history.write_text(json.dumps([ENTRY | {"rows": 1}, ENTRY]))
    for source, figures in ((run, 4), (history, 13)):
        goal = tmp_path / f"{source.stem}.evidently.json"
        arguments = ["export", str(source), "--format", "evidently", "--out", str(goal)]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert len(json.loads(goal.read_text())["metric_results"]) == figures
        assert CliRunner().invoke(app, arguments).exit_code == 2


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(DataError, match="neither"):
        to_evidently({"x": 1})
    with pytest.raises(DataError, match="no finished comparison"):
        evidently_of(tmp_path)
    with pytest.raises(DataError, match="there is no"):
        evidently_of(tmp_path / "nowhere.json")
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(DataError, match="no entry yet"):
        evidently_of(tmp_path / "empty.json")
