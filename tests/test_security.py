"""What SECURITY.md promises: opening runs nothing, names are text, paths stay where they belong.

Every trap is armed: were its file unpickled anywhere, it would make a file, and the test would see it.
"""

import ast
import gzip
import hashlib
import html.parser
import io
import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest
import torch
from typer.testing import CliRunner

from metabalance import checkpoint
from metabalance.adjust import read_cost_matrix
from metabalance.cli import app
from metabalance.data import DataError, read_table
from metabalance.data.preprocess import TablePreprocessor
from metabalance.data.subsets import load_subset
from metabalance.plain import visible
from metabalance.study import artifact
from metabalance.study.export import read_document
from metabalance.study.history import read_entries
from metabalance.study.load import make_table
from metabalance.study.reproduce.experiment import _load as load_measurement
from metabalance.study.store import RunStore, write_atomically, write_table
from metabalance.study.terminal import Console
from metabalance.study.train import train_table

PACKAGE = Path(__file__).parents[1] / "src" / "metabalance"
SCRIPT = "<script>window.owned=1</script>"
ESCAPES = "a\x1b[2J\x1b]0;owned\x07\x9b31mb\u202egnp"
HOSTILE = (
    SCRIPT, "</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "{{7*7}}{% raw %}", "two\nlines",
    "'quoted' \"twice\"", ESCAPES, "[bold red]x[/] :bomb: [link=http://x]y[/link]", "=HYPERLINK(1)",
)  # fmt: skip


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


PAYLOADS = {
    "pickle": lambda trap: pickle.dumps(trap),
    "text pickle": lambda trap: pickle.dumps(trap, protocol=0),
    "torch": lambda trap: written(torch.save, {"a": trap}),
    "object array": lambda trap: written(
        lambda o, f: np.save(f, o, allow_pickle=True), np.array([trap], dtype=object)
    ),
    "object arrays": lambda trap: written(
        lambda o, f: np.savez(f, X=o, x=o, y=o, record=o, outputs=o, probabilities=o, data=o),
        np.array([[trap]] * 2),
    ),
}


def written(write, value):
    buffer = io.BytesIO()
    write(value, buffer)
    return buffer.getvalue()


@pytest.fixture(params=PAYLOADS)
def payload(request, tmp_path):
    """A booby-trapped file's content; afterwards the trap must not have sprung."""
    path = tmp_path / "sprung"
    yield PAYLOADS[request.param](Trap(path))
    assert not path.exists(), "code from a file was run"


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_traps_are_armed(tmp_path, kind):
    path = tmp_path / "sprung"
    data = PAYLOADS[kind](Trap(path))
    if kind == "torch":
        torch.load(io.BytesIO(data), weights_only=False)["a"].close()
    elif "array" in kind:
        loaded = np.load(io.BytesIO(data), allow_pickle=True)
        loaded = loaded["X"] if kind == "object arrays" else loaded
        for file in loaded.ravel():
            file.close()
    else:
        pickle.loads(data).close()
    assert path.exists()


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result):
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert visible(lines[0]) == lines[0]


# ------------------------------------------------------------------------------------------- data files


@pytest.mark.parametrize(
    "name",
    ["t.csv", "t.tsv", "t.parquet", "t.feather", "t.arrow", "t.npz", "t.arff", "t.csv.gz", "t.csv.zst", "t.png",
     "train-images-idx3-ubyte", "t.pkl", "t.pt", "t.skops", "t.joblib"],
)  # fmt: skip
def test_no_data_file_is_unpickled(payload, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(payload) if name.endswith(".gz") else payload)
    refused(run("fit", path, "--target", "y", "--recipe", "logistic", "--out", tmp_path / "m"))
    refused(run("judge", path, "--target", "y"))


def test_no_image_in_a_folder_is_unpickled(payload, tmp_path):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "x.png").write_bytes(payload)
    refused(run("fit", tmp_path / "photos", "--recipe", "logistic", "--out", tmp_path / "m"))


def test_arrows_extension_types_are_not_revived(tmp_path):
    """CVE-2023-47248: pyarrow once unpickled the type of a column."""
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    told = {"ARROW:extension:name": b"arrow.py_extension_type", "ARROW:extension:metadata": trap}
    schema = pa.schema([pa.field("a", pa.int64(), metadata=told), pa.field("y", pa.int64())])
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([[1, 2], [0, 1]], schema=schema))
    assert read_table(tmp_path / "t.arrow")["y"].tolist() == [0, 1]
    assert not (tmp_path / "sprung").exists()


# ----------------------------------------------------------------------------------------- models, runs


def frame_of(rows=160, seed=0, hostile=False):
    rng = np.random.default_rng(seed)
    target = (np.arange(rows) % 5 == 0).astype(int)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)) + target[:, None], columns=["a", "b", "c"])
    frame["y"] = np.where(target, "yes", "no")
    if hostile:
        frame.columns = [SCRIPT, ESCAPES, '"><img src=x onerror=alert(1)>', "y {{7*7}}"]
        frame.iloc[:, 3] = np.where(target, "</script>" + SCRIPT, "javascript:alert(1)\x1b[2J\u202e")
        frame["kind of <b>"] = np.resize(HOSTILE, rows)
    return frame


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    table = make_table(frame_of(), "y", name="t.csv")
    for recipe in ("logistic", "lightgbm", "xgboost", "erm"):
        if recipe in ("lightgbm", "xgboost"):
            pytest.importorskip(recipe)
        train_table(table, recipe, network={"epochs": 1, "batch_size": 64}).model.save(folder / recipe)
    frame_of().to_csv(folder / "new.csv", index=False)
    return folder


def copied(source, goal, changed):
    """A model folder with other content, whose hashes fit."""
    goal.mkdir()
    document = json.loads((source / "manifest.json").read_bytes())
    for name, stated in document["files"].items():
        data = changed.get(name, (source / name).read_bytes())
        (goal / name).write_bytes(data)
        stated |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    body = {k: v for k, v in document.items() if k != "manifest_sha256"}
    body["content"] |= changed.get("content", {})
    (goal / "manifest.json").write_bytes(changed.get("manifest.json", artifact._sealed(body)))
    return goal


@pytest.mark.parametrize(
    ("recipe", "file"),
    [
        ("erm", "weights.safetensors"), ("erm", "preprocess.safetensors"), ("erm", "manifest.json"),
        ("erm", "evidence.json"), ("erm", "reference.json"), ("logistic", "weights.safetensors"),
        ("lightgbm", "lightgbm.txt"), ("xgboost", "xgboost.ubj"),
    ],
)  # fmt: skip
def test_no_file_of_a_model_folder_is_unpickled(payload, models, tmp_path, recipe, file):
    folder = copied(models / recipe, tmp_path / "model", {file: payload})
    new, out = models / "new.csv", tmp_path / "out.csv"
    refused(run("predict", folder, new, "--out", out))
    assert not out.exists()
    if not file.endswith((".txt", ".ubj")):  # trees are opened when they are needed
        refused(run("report", folder, "--out", tmp_path / "r.html"))


NETWORK = {"architecture": None, "shape": [3], "hidden": [10**9], "dropout": 0.0, "changed": {}}


@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        NETWORK | {"hidden": [64] * 100_000},
        NETWORK | {"shape": [10**12], "hidden": [64, 64]},
        NETWORK | {"architecture": "os.system"},
        NETWORK | {"hidden": [64, 64], "changed": {"6": {"kind": "Popen", "plain": {}, "tensors": {}, "parts": {}}}},
        NETWORK | {"hidden": [64, 64], "changed": {"6": {
            "kind": "Linear", "plain": {"forward": "x"}, "tensors": {}, "parts": {}}}},
    ],
)  # fmt: skip
def test_a_network_that_its_tensors_are_not_of_is_refused(models, tmp_path, network):
    folder = copied(models / "erm", tmp_path / "model", {"content": {"network": network}})
    refused(run("predict", folder, models / "new.csv", "--out", tmp_path / "out.csv"))


def test_a_model_folder_names_no_file_outside(models, tmp_path):
    (tmp_path / "secret").write_bytes(b"mine")
    stated = {"bytes": 4, "sha256": hashlib.sha256(b"mine").hexdigest()}
    for name in ("../secret", str(tmp_path / "secret"), "../../etc/passwd"):
        folder = copied(models / "logistic", tmp_path / hashlib.sha256(name.encode()).hexdigest()[:8], {})
        document = json.loads((folder / "manifest.json").read_bytes())
        del document["manifest_sha256"]
        document["files"][name] = stated
        (folder / "manifest.json").write_bytes(artifact._sealed(document))
        refused(run("predict", folder, models / "new.csv", "--out", tmp_path / "out.csv"))


def test_a_manifest_of_absurd_sizes_is_refused(models, tmp_path, monkeypatch):
    folder = copied(models / "logistic", tmp_path / "m", {})
    with (folder / "weights.safetensors").open("r+b") as file:
        file.truncate(10**12)  # sparse
    refused(run("predict", folder, models / "new.csv", "--out", tmp_path / "out.csv"))
    document = json.loads((folder / "manifest.json").read_bytes())
    del document["manifest_sha256"]
    document["files"]["weights.safetensors"]["bytes"] = 10**12
    (folder / "manifest.json").write_bytes(artifact._sealed(document))
    monkeypatch.setenv("METABALANCE_MAX_BYTES", str(10**9))
    result = run("predict", folder, models / "new.csv", "--out", tmp_path / "out.csv")
    refused(result)
    assert "METABALANCE_MAX_BYTES" in result.stderr


@pytest.mark.parametrize("file", ["run.json", "advice.json", "figures.json"])
def test_no_file_of_a_run_is_unpickled(payload, tmp_path, file):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    (folder / "advice.json").write_text('{"recipes": []}')
    (folder / file).write_bytes(payload)
    refused(run("report", folder, "--out", tmp_path / "r.html"))
    if file == "run.json":
        with pytest.raises(DataError):
            RunStore(folder).open({"format": 1})


def test_a_stored_fit_is_not_unpickled(payload, tmp_path):
    store = RunStore(tmp_path / "run")
    path = store.path("erm", 0, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(payload)
    with pytest.raises(DataError, match="cannot be read"):
        store.load("erm", 0, 0)


READERS = {
    "checkpoint": (checkpoint.load, ValueError),
    "preprocessor": (TablePreprocessor.load, DataError),
    "subset": (lambda path: load_subset(path, [0, 1]), DataError),
    "history": (read_entries, DataError),
    "measurement": (load_measurement, DataError),
    "cost": (lambda path: read_cost_matrix(path, ["a", "b"]), ValueError),
    "exported.onnx": (read_document, DataError),
    "exported.pt2": (read_document, DataError),
}


@pytest.mark.parametrize("name", READERS)
def test_nothing_else_is_unpickled(payload, tmp_path, name):
    read, error = READERS[name]
    path = tmp_path / name
    path.write_bytes(payload)
    with pytest.raises(error) as raised:
        read(path)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("name", [n for n in READERS if not n.startswith(("exported", "checkpoint", "pre"))])
def test_deep_json_is_refused_in_a_sentence(tmp_path, name):
    read, error = READERS[name]
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises(error):
        read(tmp_path / name)


# --------------------------------------------------------------------------------------------- sources

FORBIDDEN = (
    "pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "joblib",
    "yaml",
    "xml",
    "skops",
)
CALLS = ("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "read_pickle", "to_pickle", "eval", "exec", "compile",
         "__import__", "os.system", "os.popen", "loadtxt", "fromstring")  # fmt: skip


def test_no_module_reads_pickles_or_runs_text():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "launch.py":  # bytes from a process of its own, through its pipe
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [n for n in names if n.split(".")[0] in FORBIDDEN], path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                # module.eval() of a network is something else.
                found = [c for c in CALLS if called == c or (("." in c or "_" in c) and called.endswith(c))]
                assert not found or called == "safetensors.torch.load", f"{path}:{node.lineno}: {called}"
                for keyword in node.keywords:
                    assert keyword.arg != "shell", f"{path}:{node.lineno}"
                    if keyword.arg == "allow_pickle":
                        assert ast.unparse(keyword.value) == "False", f"{path}:{node.lineno}"
                    if keyword.arg == "weights_only":
                        pytest.fail(f"{path}:{node.lineno}: torch.load")


def test_all_commands_print_through_the_console_that_shows_control_characters():
    for path in [*(PACKAGE / "study").rglob("*.py"), *(PACKAGE / "cli").rglob("*.py")]:
        if path.name != "terminal.py":
            assert not re.search(
                r"from rich(\.console)? import .*Console|rich\.console\.", path.read_text()
            ), path


# ----------------------------------------------------------------------------------------------- names


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag == "script"

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts.append(data)


def harmless(path):
    text = path.read_text(encoding="utf-8")
    assert visible(text) == text
    page = Page(text)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form", "link"), tag
        for name in ("href", "src", "action", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png", "https://")), attributes
    scripts = [a for t, a in page.tags if t == "script"]
    assert len(scripts) <= 2  # our own, and its data
    for script in page.scripts:
        assert "owned" not in script or "\\u003c" in script
    assert "49" not in re.findall(r"y (\S+)", text)  # {{7*7}}
    return text


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """The commands on a table whose every name is an attack."""
    folder = tmp_path_factory.mktemp("hostile")
    data = folder / "t <b>.parquet"
    frame_of(hostile=True).to_parquet(data)
    results = {
        "audit": run("audit", data, "--target", "y {{7*7}}"),
        "fit": run("fit", data, "--target", "y {{7*7}}", "--recipe", "logistic", "--holdout", 0.3, "--out", folder / "m"),
        "predict": run("predict", folder / "m", data, "--out", folder / "scored.csv"),
        "report": run("report", folder / "m", "--data", data, "--groups", "kind of <b>", "--out", folder / "r.html"),
        "wrong": run("predict", folder / "m", data, "--out", folder / f"o{ESCAPES}.xyz"),
        "missing": run("audit", data, "--target", ESCAPES + "!"),
    }  # fmt: skip
    return folder, results


@pytest.mark.parametrize("command", ["audit", "fit", "predict", "report", "wrong", "missing"])
def test_names_do_not_steer_the_terminal(hostile_run, command):
    result = hostile_run[1][command]
    assert result.exit_code == (2 if command in ("wrong", "missing") else result.exit_code)
    assert result.exit_code in (0, 1, 2), result.exception
    if command in ("fit", "predict", "report"):
        assert result.exit_code == 0, (result.output, result.exception)
    assert visible(result.output) == result.output
    assert visible(result.stderr) == result.stderr


def test_names_are_text_in_the_pages(hostile_run):
    folder, _ = hostile_run
    text = harmless(folder / "r.html")
    assert "&lt;script&gt;window.owned=1&lt;/script&gt;" in text
    assert "{{7*7}}" in text


def test_the_console_shows_what_it_would_obey():
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=False)
    console.print("[bold]x[/] " + ESCAPES, "kept\ttab\nline :bomb:")
    assert "a\\x1b[2J\\x1b]0;owned\\x9b31mb\\u202egnp" in out.getvalue()
    assert "\x07" not in out.getvalue()  # Rich itself leaves the bell out
    assert ":bomb:" in out.getvalue()
    styled = io.StringIO()
    Console(file=styled, force_terminal=True, color_system="standard").print("[red]x[/]")
    assert "\x1b[31m" in styled.getvalue(), "our own colours stay"


def test_text_that_looks_like_a_formula_is_written_as_it_is(tmp_path):
    """Values are data for programs: a -5, or a handle that begins with @, must come back as it was."""
    frame = pd.DataFrame({"=a": ["=1+1", "@x", "+49 30", "-"], "n": [-5, 3, 0, 1]})
    write_table(frame, tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv").equals(frame)


# ----------------------------------------------------------------------------------------------- paths


def test_a_link_as_goal_is_replaced_and_its_target_left(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out.json").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "out.json", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "out.json").read_bytes() == b"new"
    assert not (tmp_path / "out.json").is_symlink()


@pytest.mark.parametrize("label", [*HOSTILE, "../../x", "/etc/passwd", "a\0b", "\U0001f4a3" * 200, "Ä" * 200])
def test_labels_make_plain_file_names(tmp_path, label):
    path = RunStore(tmp_path).path(label, 0, 0)
    assert path.parent == tmp_path / "fits"
    assert len(os.fsencode(path.name)) < 255
    assert re.fullmatch(r"[\w.-]+", path.name)
