"""``metabalance audit``: summary first, findings with cures, exit status for pipelines; and a page for each code."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.findings import register

ROOT = Path(__file__).parents[2]
QUICK = ("--mute", "MB019,MB022,MB029,MB031")


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 8 == 0).astype(int)
    frame = pd.DataFrame(rng.normal(size=(400, 4)) + 3 * y[:, None], columns=list("abcd"))
    frame["code"], frame["y"] = np.arange(400) + 1, np.where(y == 1, "[red] bad", "good")
    path = tmp_path_factory.mktemp("audit") / "loans.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_summary_comes_first_and_findings_have_cures(csv):
    done = run(csv, "--target", "y")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "loans.csv: 400 rows, 5 features, target y"
    assert lines[2].startswith("Nothing stands in the way of training, but ")
    assert lines[3].startswith("Class '[red] bad' has 50 of 400 rows (12.5 %): 1 to 7.")
    assert "MB005 warning A column that numbers or names the rows" in done.output
    assert f"-> {register()['MB005'].cure}" in done.output


def test_a_pipeline_can_stop_on_warnings(csv):
    assert run(csv, "--target", "y", *QUICK).exit_code == 0
    assert run(csv, "--target", "y", "--strict", *QUICK).exit_code == 1
    mute = f"{QUICK[1]},MB005,mb030"
    done = run(csv, "--target", "y", "--strict", "--mute", mute)
    assert done.exit_code == 0, done.output
    assert "Muted: MB005, MB019" in done.output


def test_json_to_a_file_and_to_the_terminal(csv, tmp_path):
    goal = tmp_path / "audit.json"
    assert run(csv, "--target", "y", "--json", goal, *QUICK).exit_code == 0
    told = json.loads(goal.read_text())
    assert told["format"] == "metabalance-audit"
    assert told["facts"]["source"]["name"] == "loans.csv"
    again = run(csv, "--target", "y", "--json", goal, *QUICK)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert run(csv, "--target", "y", "--json", goal, "--overwrite", *QUICK).exit_code == 0
    printed = run(csv, "--target", "y", "--json", "-", *QUICK)
    assert json.loads(printed.stdout) == told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "z"), "z"),
        ((), "--target"),
        (("--target", "y", "--mute", "MB99"), "MB99"),
        (("--target", "y", "--metric", "acuracy"), "accuracy"),
        (("--target", "y", "--half-width", "2"), "half_width"),
        (("--target", "y", "--positive", "ugly"), "ugly"),
    ],
)
def test_bad_input_is_one_sentence(csv, options, said):
    done = run(csv, *options)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("cat", 30), ("owl", 8)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (10, 10), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    done = run(tmp_path / "pets", *QUICK)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("pets: 38 images, 10x10")
    assert "8 of 38 images" in done.output
    assert "MB024 (pixels are never missing)" in done.output
    assert "--time is for the columns of a table" in run(tmp_path / "pets", "--time", "x").stderr


def test_every_code_has_its_page():
    spec = importlib.util.spec_from_file_location("write", ROOT / "docs" / "checks" / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.pages().items():
        assert (ROOT / "docs" / "checks" / name).read_text() == text, "run python docs/checks/write.py"
