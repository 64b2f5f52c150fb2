"""The page in a real browser: its numbers are Python's, it asks nothing of the network, and keys move it."""

import json

import numpy as np
import pandas as pd
import pytest

from metabalance.judge import (
    confusion,
    expected_cost,
    f_beta,
    precision,
    recall,
    specificity,
    wilson_interval,
)
from metabalance.study.report.page import write_page
from metabalance.study.report.single import evidence_of, single_view
from metabalance.study.scored import scored_table

COSTS = [(1, 1, 0, 0), (50, 1, 0, 0), (7.5, 0.25, -2, 0.01), (0, 3, 0, 0)]
HOSTILE = "</script><script>document.title='owned'</script>"


def scored(rows=600, classes=("no", HOSTILE), decimals=None, seed=0):
    rng = np.random.default_rng(seed)
    target = (rng.random(rows) < 0.1).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=rows) + 2 * target - 3)))
    scores = scores if decimals is None else scores.round(decimals)
    frame = pd.DataFrame({"y": np.asarray(classes)[target], "s": scores})
    frame["group <b>"] = np.where(np.arange(rows) % 2, "<script>", "b")
    return scored_table(frame, target="y", score="s", positive=classes[1], groups="group <b>", name="<i>.csv")


def page(data, path, **more):
    found, rule, threshold = evidence_of(data)
    view = single_view(
        [(data.name, found)], kind="scored file", title=data.name, decision=rule, threshold=threshold, **more
    )
    write_page("single", view, path)
    return path


@pytest.fixture(scope="module")
def data():
    return scored()


@pytest.fixture(scope="module")
def opened(browser, data, tmp_path_factory):
    path = page(data, tmp_path_factory.mktemp("page") / "r.html", groups="group <b>")
    browser.get_log("performance")
    browser.get(path.as_uri())
    return browser


def put(browser, name, value):
    browser.execute_script(
        "const e = document.querySelector(`[data-x=\"${arguments[0]}\"]`); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true}));",
        name, str(value),
    )  # fmt: skip


def shown(browser):
    text = browser.execute_script(
        "return JSON.stringify(Object.fromEntries([...document.querySelectorAll('data[data-x]')]"
        ".map(e => [e.dataset.x, e.value])))"
    )
    return {name: float(value) for name, value in json.loads(text).items()}


def text_of(browser, name):
    return browser.execute_script(
        'return document.querySelector(`[data-x="${arguments[0]}"]`).textContent', name
    )


def test_nothing_is_asked_of_the_network_and_nothing_goes_wrong(opened):
    assert [entry for entry in opened.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len(asked) == 1, "the page itself"


def test_the_users_text_runs_nowhere(opened):
    assert opened.title == "<i>.csv · metabalance"
    assert HOSTILE in opened.find_element("css selector", ".advice").text


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("threshold", [0.0, 0.02, 0.1, 0.3, 0.77, 1.0])
def test_the_numbers_are_pythons(opened, data, threshold, cost):
    for name, value in zip(("fn", "fp", "tp", "tn"), cost):
        put(opened, name, value)
    put(opened, "typed", threshold)
    seen = shown(opened)
    called = (data.scores >= threshold).astype(int)
    table = confusion(called, data.target, num_classes=2)
    assert [[seen["n-tn"], seen["n-fp"]], [seen["n-fn"], seen["n-tp"]]] == table.tolist()
    fn, fp, tp, tn = cost
    each = expected_cost(called, data.target, cost=[[tn, fp], [fn, tp]])
    assert seen["each"] == pytest.approx(each, rel=1e-12, abs=1e-12)
    assert seen["cost"] == pytest.approx(each * len(called), rel=1e-12, abs=1e-9)
    assert seen["alerts"] == called.sum()
    for name, metric in (("precision", precision), ("recall", recall), ("f1", f_beta)):
        assert seen[name] == pytest.approx(metric(called, data.target), nan_ok=True, rel=1e-12)
    assert seen["fpr"] == pytest.approx(1 - specificity(called, data.target), abs=1e-12)
    # What is written is a threshold that decides the same.
    assert ((data.scores >= seen["threshold"]) == called).all()
    interval = wilson_interval(table[1, 1], table[1].sum())
    assert text_of(opened, "recall-range") == f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


@pytest.mark.parametrize("cost", COSTS)
def test_the_cheapest_threshold_is_the_cheapest_of_all(opened, data, cost):
    for name, value in zip(("fn", "fp", "tp", "tn"), cost):
        put(opened, name, value)
    fn, fp, tp, tn = cost
    matrix = [[tn, fp], [fn, tp]]
    every = [
        expected_cost((data.scores >= t).astype(int), data.target, cost=matrix)
        for t in [*data.scores, np.inf]
    ]
    opened.find_element("css selector", "[data-x=go]").click()
    seen = shown(opened)
    assert seen["each"] == pytest.approx(min(every), rel=1e-12, abs=1e-12)
    assert seen["best-cost"] == seen["cost"]
    assert seen["none-cost"] == pytest.approx(every[-1] * len(data.target), rel=1e-12)


def test_another_share_of_positives_moves_counts_as_reweighting_does(opened, data):
    put(opened, "fn", 50), put(opened, "fp", 1), put(opened, "tp", 0), put(opened, "tn", 0)
    put(opened, "share", 1), put(opened, "rows", 10_000), put(opened, "typed", 0.2)
    seen = shown(opened)
    weight = np.where(data.target == 1, 100 / (data.target == 1).sum(), 9_900 / (data.target == 0).sum())
    called = (data.scores >= 0.2).astype(int)
    table = confusion(called, data.target, weight)
    assert [seen["n-tn"], seen["n-fp"], seen["n-fn"], seen["n-tp"]] == pytest.approx(table.ravel().tolist())
    assert seen["precision"] == pytest.approx(precision(called, data.target, weight))
    assert text_of(opened, "precision-range") == "", "Wilson's interval is for rows that were counted"
    put(opened, "share", ""), put(opened, "rows", "")


def test_nonsense_is_marked_and_ignored(opened):
    put(opened, "fn", 50), put(opened, "typed", 0.2)
    before = shown(opened)
    for field, value in (("share", 130), ("rows", -4), ("share", 0)):
        put(opened, field, value)
        marked = opened.find_element("css selector", f"[data-x={field}]").get_attribute("aria-invalid")
        assert marked == "true"
        put(opened, field, "")
    assert shown(opened) == before


def test_keys_move_the_slider_and_are_told_once_the_hand_rests(opened):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    put(opened, "typed", 0.2)
    slider = opened.find_element("css selector", "[data-x=slider]")
    before, place = shown(opened), int(slider.get_attribute("value"))
    slider.send_keys(Keys.ARROW_LEFT)
    after = shown(opened)
    assert int(slider.get_attribute("value")) == place - 1
    assert after["alerts"] == before["alerts"] + 1
    assert "alerts" in slider.get_attribute("aria-valuetext")
    slider.send_keys(Keys.HOME)
    assert shown(opened)["recall"] == 1
    slider.send_keys(Keys.END)
    assert shown(opened)["alerts"] == 0
    assert np.isnan(shown(opened)["precision"])
    WebDriverWait(opened, 3).until(lambda b: "0 alerts" in text_of(b, "said"))


def test_every_field_has_a_name_and_every_figure_words(opened):
    for field in opened.find_elements("css selector", "input, select, button"):
        assert field.accessible_name, field.get_attribute("outerHTML")
    images = opened.find_elements("css selector", "figure svg")
    assert len(images) == 6
    for image in images:
        assert image.get_attribute("role") == "img"
        assert len(image.get_attribute("aria-label")) > 20


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_window(opened, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.refresh()
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_thinned_page_is_exact_where_it_shows(browser, tmp_path):
    data = scored(rows=20_000, classes=("no", "yes"))
    browser.get(page(data, tmp_path / "r.html").as_uri())
    put(browser, "fn", 20)
    for step in (3, 400, 1200):
        put(browser, "slider", step)
        seen = shown(browser)
        called = (data.scores >= seen["threshold"]).astype(int)
        assert [seen["n-fp"], seen["n-tp"]] == confusion(called, data.target)[:, 1].tolist()
    order = np.argsort(-data.scores)
    missed = data.target.sum() - np.cumsum(data.target[order])
    costs = [20 * data.target.sum(), *(20 * missed + np.cumsum(1 - data.target[order]))]
    assert shown(browser)["best-cost"] == min(costs)


def test_several_classes_are_explored_one_by_one(browser, tmp_path):
    rng = np.random.default_rng(1)
    names = ["a", "b", "<c>"]
    target = rng.choice(3, 500, p=[0.6, 0.3, 0.1])
    scores = rng.dirichlet(np.ones(3), 500) + np.eye(3)[target]
    frame = pd.DataFrame({"y": np.asarray(names)[target]})
    for name, column in zip(names, scores.T / scores.sum(1)):
        frame[f"probability_{name}"] = column
    data = scored_table(frame, target="y")
    browser.get(page(data, tmp_path / "r.html").as_uri())
    chosen = browser.find_elements("css selector", "[data-x=class] option")
    assert [option.text for option in chosen] == ["<c>", "b", "a"], "the rarest first"
    put(browser, "class", 1)
    put(browser, "typed", 0.4)
    which = data.classes.index("b")
    called = (data.scores[:, which] >= shown(browser)["threshold"]).astype(int)
    table = confusion(called, (data.target == which).astype(int))
    assert [shown(browser)[f"n-{cell}"] for cell in ("tn", "fp", "fn", "tp")] == table.ravel().tolist()
