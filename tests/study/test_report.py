"""The report: no network, the user's text harmless, the undefined named, absent parts tolerated."""

import copy
import hashlib
import math
import re
import warnings
from html.parser import HTMLParser

import matplotlib
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from metabalance.data.errors import DataError
from metabalance.methods import METHODS
from metabalance.study.report import render_report
from metabalance.study.report.comparison import build_view
from metabalance.study.report.curves import calibration, precision_recall, roc
from metabalance.study.report.drawing import COLOURS, Line
from metabalance.study.report.forest import Difference, forest

NAN = float("nan")
METRICS = {
    "average_precision": {"title": "Average precision", "greater_is_better": True},
    "roc_auc": {"title": "ROC AUC", "greater_is_better": True},
    "brier": {"title": "Brier score", "greater_is_better": False},
}
PAPERS = {paper.url for method in METHODS for paper in method.papers}
VOID = {"br", "meta", "wbr", "link", "img", "input", "hr", "path", "use", "rect"}


def recipe(name, value, p=0.5, stage="loss", curves=True):
    delta = value - 0.70
    found = {
        "name": name,
        "label": "ERM (untouched baseline)" if name == "erm" else name,
        "stage": "baseline" if name == "erm" else stage,
        "status": "ok",
        "note": "",
        "fits": 15,
        "seconds": {"mean": 1.25},
        "metrics": {
            "average_precision": {"value": value, "low": value - 0.03, "high": value + 0.03},
            "roc_auc": {"value": 0.9, "low": 0.89, "high": 0.91},
            "brier": {"value": 0.012 - delta / 100, "low": 0.011, "high": 0.013},
        },
        "confusion": [[960, 10], [12, 18]],
        "recall_per_class": [960 / 970, 0.6],
    }
    if name != "erm":
        interval = {"low": delta - 0.02, "high": delta + 0.02, "p": p / 4, "p_holm": p}
        found["difference"] = {
            "average_precision": {"value": delta, **interval},
            "roc_auc": {"value": 0.0, "low": -0.01, "high": 0.01, "p": 1.0, "p_holm": 1.0},
            "brier": {"value": -delta / 100, "low": -0.001, "high": 0.0, "p": p / 4, "p_holm": p},
        }
    if curves:
        found["curves"] = {
            "roc": [[0.0, 0.1, 1.0], [0.0, 0.8, 1.0]],
            "pr": [[0.0, 0.5, 1.0], [1.0, 0.7, 0.03]],
            "calibration": {
                "predicted": [1e-5, 0.01, 0.4],
                "observed": [0.0, 0.02, 0.35],
                "count": [340, 330, 330],
            },
        }
    return found


def comparison(*others):
    return {
        "title": "cards.csv · target fraud",
        "created": "2026-11-21T10:00:00+00:00",
        "version": "0.1.0",
        "command": "metabalance compare cards.csv --target fraud",
        "data": {
            "rows": 1000,
            "columns": 12,
            "target": "fraud",
            "classes": ["no", "yes"],
            "counts": [970, 30],
            "positive": "yes",
            "imbalance_ratio": 970 / 30,
            "fingerprint": "abc123",
            "findings": [{"code": "MB004", "severity": "warning", "message": "two equal rows"}],
        },
        "protocol": {
            "folds": 5,
            "seeds": 3,
            "metric": "average_precision",
            "splits": "stratified",
            "validation_fraction": 0.2,
            "cost": {"fn": 50, "fp": 1},
            "level": 0.95,
            "interval_method": "corrected resampled t",
        },
        "advice": {"headline": "Use focal.", "details": ["Because."], "winner": "focal"},
        "recipes": [recipe("erm", 0.70), *others],
        "metrics": METRICS,
    }


@pytest.fixture
def result():
    return comparison(
        recipe("focal", 0.78, p=0.001), recipe("smote", 0.71), recipe("undersample", 0.60, p=0.002)
    )


def render(result, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_report(result, path)
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Tags must nest; collects the text that is seen, the tags and every attribute."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def test_everything_is_said(result, tmp_path):
    words = Reader(render(result, tmp_path / "r.html")).words
    for expected in (
        "Use focal.",
        "Because.",
        "0.780 [0.750, 0.810]",
        "Δ +0.080",
        "Δ −0.100",
        "1 better, 1 not distinguishable, 1 worse",
        "+0.080 [+0.060, +0.100] p = .001",
        "two equal rows",
        "fn = 50, fp = 1",
        "metabalance compare cards.csv --target fraud",
        "corrected resampled t",
        "Share of each class that is found",
        "12 40.0 % 18 60.0 %",
    ):
        assert expected in words, expected


def test_the_page_needs_no_network_and_no_scripts(result, tmp_path):
    html = render(result, tmp_path / "r.html")
    reader = Reader(html)
    assert not {"script", "link", "iframe", "img", "object", "image"} & set(reader.tags)
    assert "default-src &#39;none&#39;; script-src &#39;none&#39;" in html
    assert "@import" not in html
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    for name, value in reader.attributes:
        if name in ("href", "xlink:href"):
            assert value.startswith("#") or value in PAPERS, "a link to a paper waits to be clicked"
        assert name != "src"
    ids = [value for name, value in reader.attributes if name == "id"]
    defined = set(ids)
    assert len(defined) == len(ids), "an id that occurs twice makes one figure borrow from another"
    referred = {
        value[1:] for name, value in reader.attributes if name in ("href", "xlink:href") and value[0] == "#"
    }
    assert referred <= defined


def test_same_result_same_bytes_and_settings_left_alone(result, tmp_path):
    before = dict(matplotlib.rcParams)
    first = render(result, tmp_path / "a.html")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9}):
        second = render(copy.deepcopy(result), tmp_path / "b.html")
    assert first == second, "the user's matplotlibrc must not change the report"
    assert dict(matplotlib.rcParams) == before


def test_result_is_not_changed(result, tmp_path):
    before = copy.deepcopy(result)
    render(result, tmp_path / "r.html")
    assert result == before


HOSTILE = [
    "<script>alert(1)</script>",
    "</svg><b>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{a}{b}$",
    "{{ 7*7 }}",
    "{% raw %}",
    "核\u200f",
    "\x00\x1b[31m\ud800",
    "&lt;",
    "]]>",
    "x" * 300,
    "",
]


@pytest.fixture(scope="module")
def clean_tags(tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "r.html"
    return set(Reader(render(comparison(recipe("focal", 0.78), recipe("smote", 0.71)), path)).tags)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_users_text_stays_text(result, tmp_path, clean_tags, text):
    result["title"] = result["command"] = result["advice"]["headline"] = text
    result["advice"]["details"] = [text]
    result["data"].update(target=text, classes=["no", text], positive=text)
    result["data"]["findings"][0].update(message=text, code=text, severity=text, action=text)
    for r in result["recipes"]:
        r.update(label=text, note=text, stage=text)
    reader = Reader(render(result, tmp_path / "r.html"))
    assert set(reader.tags) <= clean_tags | {"wbr"}
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    shown = " ".join(re.sub("[\x00-\x1f\ud800]", " ", text).split())
    assert reader.words.count(shown) >= 5, "seen as it was written, template marks included"


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # shrinking would draw the figures hundreds of times
)
@example(text="", number=1.2e308)
@example(text="a", number=5e-324)
@example(text="b", number=math.inf)
@given(text=st.text(max_size=40), number=st.floats(allow_nan=True, allow_infinity=True))
def test_any_label_and_any_number(tmp_path, text, number):
    result = comparison(recipe("focal", 0.78), recipe("smote", 0.71, curves=False))
    result["recipes"][1]["label"] = text
    result["data"]["classes"][0] = text or "empty"
    result["recipes"][1]["metrics"]["roc_auc"] = dict.fromkeys(("value", "low", "high"), number)
    result["recipes"][2]["difference"]["average_precision"].update(
        value=number, low=number, high=number, p_holm=number
    )
    Reader(render(result, tmp_path / "r.html"))


def test_undefined_is_said_with_its_reason_and_never_a_number(result, tmp_path):
    result["recipes"][2]["metrics"]["roc_auc"] = {
        "value": NAN,
        "low": NAN,
        "high": NAN,
        "reason": "one class only",
    }
    words = Reader(render(result, tmp_path / "r.html")).words
    assert "Undefined: ROC AUC: one class only (smote)." in words
    assert "nan" not in words.lower()


def test_null_in_place_of_nan(result, tmp_path):
    """advice.json holds null for NaN; a report drawn from it reads the same."""

    def swap(value, old, new):
        if isinstance(value, dict):
            return {k: swap(v, old, new) for k, v in value.items()}
        if isinstance(value, list):
            return [swap(v, old, new) for v in value]
        return new if isinstance(value, float) and math.isnan(value) else value

    result["recipes"][1]["metrics"]["brier"] = dict.fromkeys(("value", "low", "high"), NAN)
    result["recipes"][1]["difference"]["brier"] = dict.fromkeys(("value", "low", "high", "p", "p_holm"), NAN)
    result["recipes"][2]["seconds"]["mean"] = NAN
    assert render(result, tmp_path / "a.html") == render(swap(result, NAN, None), tmp_path / "b.html")


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_failed_recipe_keeps_its_row_and_says_why(result, tmp_path, status):
    empty = dict.fromkeys(("value", "low", "high"), NAN)
    result["recipes"].insert(
        0,
        {"name": "svm_smote", "label": "svm_smote", "status": status, "note": "too few rows", "fits": 0,
         "metrics": dict.fromkeys(METRICS, empty), "difference": dict.fromkeys(METRICS, empty)},
    )  # fmt: skip
    html = render(result, tmp_path / "r.html")
    words = Reader(html).words
    assert f"svm_smote {status} too few rows undefined undefined undefined" in words
    assert build_view(result)["rows"][-1]["label"] == "svm_smote", "what has no value comes last"


@pytest.mark.parametrize(
    "drop",
    ["curves", "confusion", "recall_per_class", "difference", "metrics", "seconds", "stage", "note", "fits"],
)
def test_recipes_may_lack_parts(result, tmp_path, drop):
    for r in result["recipes"]:
        r.pop(drop, None)
    Reader(render(result, tmp_path / "r.html"))


@pytest.mark.parametrize("drop", ["findings", "positive", "fingerprint", "imbalance_ratio", "columns"])
def test_data_may_lack_parts(result, tmp_path, drop):
    del result["data"][drop]
    Reader(render(result, tmp_path / "r.html"))


def test_baseline_alone(tmp_path):
    result = comparison()
    result["advice"] = {"headline": "Nothing can be said yet.", "details": [], "winner": None}
    view = build_view(result)
    assert view["forest"] is None
    Reader(render(result, tmp_path / "r.html"))


def test_many_classes(tmp_path):
    size = 40
    result = comparison(recipe("focal", 0.78, curves=False))
    counts = [1000 - 25 * i for i in range(size - 1)] + [3]
    result["data"].update(classes=[f"c{i}" for i in range(size)], counts=counts, positive=None)
    result["protocol"]["cost"] = [[0.0, 1.0], [5.0, 0.0]]
    for r in result["recipes"]:
        r.pop("curves", None)
        r["confusion"] = [[int(i == j) for j in range(size)] for i in range(size)]
        r["recall_per_class"] = [i / size for i in range(size - 1)] + [NAN]
    view = build_view(result)
    assert view["confusions"] == [], "forty columns would be unreadable"
    assert view["curves"] is None
    assert view["recalls"]["rows"][0]["label"] == "c39", "the rarest class comes first"
    assert view["recalls"]["rows"][0]["cells"][0]["text"] == "undefined"
    assert view["recalls"]["hidden"] == 20
    assert [row["label"] for row in view["classes"]["rows"]][-1] == "c39"
    assert "0 1; 5 0" in Reader(render(result, tmp_path / "r.html")).words


def test_order_and_verdicts_follow_the_metrics_direction(result):
    result["protocol"]["metric"] = "brier"
    view = build_view(result)
    assert [row["label"] for row in view["rows"]] == [
        "ERM (untouched baseline)",
        "focal",
        "smote",
        "undersample",
    ]
    brier = [c["key"] for c in view["columns"]].index("brier")
    assert [row["cells"][brier]["verdict"] for row in view["rows"]] == ["same", "better", "same", "worse"]
    assert view["forest"]["better"] == 1
    assert view["forest"]["worse"] == 1


def test_the_corrected_p_value_decides_not_the_interval(result):
    result["recipes"][1]["difference"]["average_precision"]["p_holm"] = 0.051
    assert build_view(result)["forest"]["better"] == 0
    result["protocol"]["level"] = 0.9
    assert build_view(result)["forest"]["better"] == 1


def test_curves_of_the_baseline_the_winner_and_the_best(tmp_path):
    others = [recipe(f"r{i}", 0.60 + i / 100) for i in range(9)]
    result = comparison(*others)
    result["advice"]["winner"] = "r2"
    legend = build_view(result)["curves"]["legend"]
    assert [entry["label"] for entry in legend] == ["ERM (untouched baseline)", "r2", "r8", "r7", "r6", "r5"]
    assert [entry["dashed"] for entry in legend] == [True, False, False, False, False, False]
    assert len({entry["colour"] for entry in legend}) == 6


def test_digits_follow_the_uncertainty(result):
    """Two figures of the half width: 0.03 gives three decimals, 0.001 four."""
    columns = {c["key"]: c["digits"] for c in build_view(result)["columns"]}
    assert columns == {"average_precision": 3, "roc_auc": 3, "brier": 4}


def test_confusion_of_two_classes_is_negative_first(result):
    result["data"].update(classes=["yes", "no"], counts=[30, 970])
    rows = build_view(result)["confusions"][0]["rows"]
    assert [row["label"] for row in rows] == ["no", "yes"]
    assert [cell["count"] for cell in rows[1]["cells"]] == ["12", "18"]
    assert rows[1]["cells"][1]["share"] == "60.0 %"
    assert build_view(result)["recalls"]["rows"][0]["label"] == "yes"
    assert build_view(result)["recalls"]["rows"][0]["cells"][0]["text"] == "60.0 %"


def test_twenty_recipes_stay_small(tmp_path):
    points = [i / 199 for i in range(200)]
    others = [recipe(f"recipe_{i}", 0.70 + i / 1000) for i in range(19)]
    for r in others:
        r["curves"].update(roc=[points, [x**0.3 for x in points]], pr=[points, [1 - x**3 for x in points]])
    html = render(comparison(*others), tmp_path / "r.html")
    assert len(html.encode()) < 500_000


def test_a_failed_write_leaves_the_old_report(result, tmp_path):
    (tmp_path / "r.html").mkdir()
    with pytest.raises(DataError):
        render_report(result, tmp_path / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


# --------------------------------------------------------------------------------------------- figures


ROWS = [
    Difference("focal", 0.08, 0.06, 0.10, "better", "+0.080"),
    Difference("smote", 0.01, -0.01, 0.03, "same", "+0.010"),
    Difference("vague", 0.00, -9.0, 9.0, "same", "+0.000"),
]


@pytest.mark.parametrize("narrow", [False, True])
def test_forest_words_and_colours(narrow):
    svg = forest(ROWS, axis_label="difference in F1", greater_is_better=True, narrow=narrow)
    for word in ("focal", "smote", "+0.080", "better →", "← worse", "difference in F1"):
        assert word in svg
    assert "var(--better)" in svg
    assert not any(code in svg for code in COLOURS.values()), "a fixed colour would vanish in the dark"
    flipped = forest(ROWS, axis_label="d", greater_is_better=False, narrow=narrow)
    assert "worse →" in flipped
    assert "← better" in flipped


def test_one_vague_interval_does_not_crush_the_others():
    from metabalance.study.report.forest import _limits

    low, high = _limits(ROWS)
    assert -0.2 < low < 0 < 0.1 < high < 0.3


@pytest.mark.parametrize("rows", [ROWS[:1], [Difference("x", 0.0, NAN, NAN, "same", "")], ROWS * 15])
def test_forest_of_any_length(rows):
    assert forest(rows, axis_label="d", greater_is_better=True).startswith("<svg ")


def test_curves_draw_each_line_in_its_colour():
    lines = [Line([0, 1], [0, 1], 0), Line([0, 0.5, 1], [0, 1, 1], 3)]
    for svg in (roc(lines), precision_recall(lines, 0.1), calibration(lines, 0.5)):
        assert "var(--c0)" in svg
        assert "var(--c3)" in svg
        assert "var(--c1)" not in svg


def test_calibration_of_rare_positives_is_logarithmic_and_keeps_empty_bins():
    line = Line([1e-6, 1e-3, 0.3], [0.0, 2e-3, 0.25], 1)
    rare, common = calibration([line], 0.01), calibration([line], 0.4)
    assert ">0.001<" in rare
    assert ">0.001<" not in common
    assert calibration([Line([0.1], [0.0], 1)], 0.01).startswith("<svg ")  # no positive seen in any bin


def test_pinned_figure():
    """Deterministic to the byte: the same on every run of the same matplotlib."""
    svg = roc([Line([0, 0.2, 1], [0, 0.9, 1], 1)])
    again = roc([Line([0, 0.2, 1], [0, 0.9, 1], 1)])
    assert hashlib.sha256(svg.encode()).digest() == hashlib.sha256(again.encode()).digest()
