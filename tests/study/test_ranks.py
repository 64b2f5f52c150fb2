"""The critical-difference diagram says what the ranking says, as text that can be read aloud."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from metabalance.judge import critical_difference
from metabalance.study.report.ranks import critical_difference_diagram


def ranking(models=5, gap=1.0, sets=12, names=None):
    values = np.random.default_rng(0).normal(size=(sets, models)) + gap * np.arange(models)
    return critical_difference(values, names)


def texts(svg):
    return [" ".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter("text")]


@pytest.mark.parametrize("narrow", [False, True])
def test_every_model_stands_with_its_rank(narrow):
    found = ranking(names=["erm", "focal(gamma=2)", "a$b$ & <c>", "d", "e"])
    said = " | ".join(texts(critical_difference_diagram(found, narrow=narrow)))
    for name, rank in zip(found.names, found.ranks, strict=True):
        short = name if len(name) <= 12 or not narrow else name[:8]
        assert re.search(rf"{re.escape(short)}\S*\s+{rank:.2f}|{rank:.2f}\s+{re.escape(short)}", said), said
    assert f"critical difference {found.critical_difference:.2f}" in said
    assert "models differ (p" in said
    label = ElementTree.fromstring(critical_difference_diagram(found, narrow=narrow)).get("aria-label")
    assert label.startswith(f"Mean ranks, best first: {found.names[0]} {found.ranks[0]:.2f}, ")


@pytest.mark.parametrize("gap", [0.0, 0.4, 3.0])
def test_there_is_a_bar_for_every_group(gap):
    found = ranking(gap=gap)
    svg = critical_difference_diagram(found)
    assert svg.count("stroke-width: 3.2") == len(found.groups)
    assert ("no model differs" in svg) == (found.p_value >= 0.05)


def test_colours_follow_the_page_and_the_figure_is_reproducible():
    svg = critical_difference_diagram(ranking())
    assert "var(--ink)" in svg
    assert "#1a1d21" not in svg
    assert svg == critical_difference_diagram(ranking())


@pytest.mark.parametrize("models", [2, 3, 30])
def test_few_and_many_models_fit(models):
    assert len(texts(critical_difference_diagram(ranking(models, 0.1)))) > models
