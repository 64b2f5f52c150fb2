"""A page about a table whose names are attacks, in a real browser: nothing of the data runs, nothing is loaded."""

import json

import numpy as np
import pandas as pd

from metabalance.study.report.page import write_page
from metabalance.study.report.single import evidence_of, single_view
from metabalance.study.scored import scored_table

COLUMN = "<script>window.owned=1</script>"
CLASSES = ("javascript:window.owned=2", '</script><img src=x onerror="window.owned=3">{{7*7}}\u202e')
GROUPS = ("<svg onload=window.owned=4>", "'\"><iframe src=javascript:parent.owned=5>", "two\nlines\x00")


def test_nothing_of_the_data_runs(browser, tmp_path):
    rng = np.random.default_rng(0)
    target = (np.arange(400) % 8 == 0).astype(int)
    frame = pd.DataFrame(
        {
            COLUMN: np.asarray(CLASSES)[target],
            "s": 1 / (1 + np.exp(2 - 2 * target - rng.normal(size=400))),
            "g<b>": np.asarray(GROUPS)[np.arange(400) % 3],
        }
    )
    data = scored_table(
        frame, target=COLUMN, score="s", positive=CLASSES[1], groups="g<b>", name="<title>.csv"
    )
    found, rule, threshold = evidence_of(data)
    view = single_view(
        [(data.name, found)],
        kind="scored file",
        title=f"{data.name} · target {COLUMN}",
        decision=rule,
        threshold=threshold,
        groups="g<b>",
        command=f"metabalance report --target '{COLUMN}'",
    )
    write_page("single", view, tmp_path / "r.html")
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get((tmp_path / "r.html").as_uri())
    assert browser.execute_script("return window.owned") is None
    assert COLUMN in browser.title
    assert COLUMN in browser.find_element("tag name", "h1").text
    assert browser.find_elements("css selector", "img, iframe, object, [onload], [onerror]") == []
    # Clicking on all that can be clicked, and moving the slider, runs the page's own script only.
    for button in browser.find_elements("css selector", "button, summary, select, a[href^='#']"):
        if button.is_displayed():
            button.click()
    assert browser.execute_script("return window.owned") is None
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url.split("#")[0] for url in asked} == {(tmp_path / "r.html").as_uri()}
