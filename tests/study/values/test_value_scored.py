"""A table of predicted values read, judged and drawn piece by piece, without the command line."""

import re

import numpy as np
import pandas as pd
import pytest

from metabalance.data.errors import DataError
from metabalance.judge.regions import GROUPS
from metabalance.study.report.value_command import report_model, report_scored
from metabalance.study.report.value_figures import (
    GROUP_COLOURS,
    coverage,
    density,
    error_by_density,
    residual_boxes,
    residual_lines,
    scatter,
)
from metabalance.study.report.value_single import value_single_view
from metabalance.study.terminal import Console
from metabalance.study.values.evidence import estimate_rows, values_evidence
from metabalance.study.values.figures import density_of, figures
from metabalance.study.values.judging import judge_values, show_values
from metabalance.study.values.scored import ScoredValues, are_values, refuse_for_values, scored_values


def table(rows=300):
    rng = np.random.default_rng(0)
    y = rng.gamma(1.5, 8.0, rows)
    frame = pd.DataFrame({"y": y, "prediction": 0.8 * y, "low": 0.8 * y - 5, "high": 0.8 * y + 5})
    return frame.assign(whole=np.round(y))


def test_a_target_that_can_be_no_classes_is_values():
    frame = table()
    assert are_values(frame, "y", None)
    assert are_values(frame, "whole", None)  # beside a column of predictions
    assert not are_values(frame[["whole", "low"]], "whole", None)  # it may be classes: that is asked
    assert are_values(frame, "whole", "regression")
    assert not are_values(frame, "y", "classification")
    assert not are_values(frame.assign(probability_a=0.5), "y", None)
    assert are_values(frame, "y,whole", None)
    assert not are_values(frame, "gone", None)
    with pytest.raises(DataError, match="is unknown"):
        are_values(frame, "y", "sorting")


def test_options_of_classes_are_refused():
    refuse_for_values({"--cost": None, "--decision": ""})
    with pytest.raises(DataError, match="--cost is for classes"):
        refuse_for_values({"--cost": "fn=1"})


def test_what_is_read():
    found = scored_values(table(), target="y")
    assert isinstance(found, ScoredValues)
    assert found.limits.shape == (300, 1, 2)
    assert (
        scored_values(table(), target="y", prediction="whole").limits is None
    )  # those are of another column
    with pytest.raises(DataError, match="as many columns of predictions"):
        scored_values(table(), target="y", prediction="whole,low")
    with pytest.raises(DataError, match="no rows"):
        scored_values(table()[:0], target="y")
    with pytest.raises(DataError, match="several different ones"):
        scored_values(table(), target="y,y")


def test_a_judgement_is_told_in_the_terminal(capsys):
    result = judge_values(scored_values(table(), target="y", name="t[bold].csv"), ["mae"], resamples=20)
    show_values(Console(width=100), result)
    told = capsys.readouterr().out
    assert "t[bold].csv: 300 rows; y" in told
    assert "Within the limits of y" in told
    row = next(r for r in result["metrics"] if r["name"] == "mae")
    assert row["value"] == pytest.approx(0.2 * table().y.mean())
    assert re.search(r"mae +\d", told)


def test_every_region_has_its_colour_and_mark():
    assert set(GROUP_COLOURS) == set(GROUPS)
    scored = scored_values(table(), target="y")
    values = figures(scored.prediction, scored.target, scored.regions, ["y"], scored.limits)
    one = values["targets"][0]
    entry = density_of(scored.target, ["y"], scored.regions)[0]
    drawn = {
        "density": density(entry, "rows"),
        "boxes": residual_boxes(one["residuals"], "y", "residuals"),
        "lines": residual_lines([(0, one["residuals"]), (1, one["residuals"])], "y", "residuals"),
        "errors": error_by_density([(None, one["density"])], "errors"),
        "scatter": scatter(one["scatter"], "y<b>", "predicted"),
        "coverage": coverage([("few", "few <i>", one["coverage"]["target"]["few"])], 0.9, "within"),
    }
    for name, svg in drawn.items():
        assert svg.startswith('<svg role="img"'), name
        assert "<b>" not in svg
        assert "<i>" not in svg
    seen = {g for g in GROUPS if one["regions"][g]["rows"]}
    for name in ("density", "boxes", "errors", "scatter"):
        assert {g for g, colour in GROUP_COLOURS.items() if f"var(--{colour})" in drawn[name]} == seen


def test_the_view_of_one_model():
    scored = scored_values(table(), target="y")
    found = values_evidence(
        scored.prediction, scored.target, scored.regions, ["y"], scored.limits, level=0.9, n_boot=20
    )
    view = value_single_view([("t.csv", found)], kind="predicted values", title="t")
    assert view["headline"].startswith("Predictions miss by 2.")
    assert any("too low" in detail for detail in view["details"])  # four fifths of large values
    assert list(view["facts"][0]) == ["300", "rows (t.csv)"]
    assert estimate_rows({}) == []


def test_pages_are_written(tmp_path):
    frame, path = table(), tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    report_scored(frame, path, tmp_path / "r.html", "metabalance report", target="y")
    assert "Predictions miss by" in (tmp_path / "r.html").read_text()
    with pytest.raises(DataError):
        report_model(tmp_path, None, None, None, tmp_path / "m.html", "")
