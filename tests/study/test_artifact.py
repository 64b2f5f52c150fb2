"""The model folder: what goes in comes out, and nothing that was changed, cut short or half written does."""

import errno
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metabalance.data.errors import DataError
from metabalance.study import artifact
from metabalance.study.artifact import MANIFEST, WEIGHTS, read_artifact, write_artifact

CONTENT = {
    "recipe": "focal",
    "classes": ["no", "yès"],
    "threshold": 0.1 + 0.2,
    "nested": {"a": [1, None, True]},
}
TENSORS = {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}
FILES = {"preprocess.skops": b"PK\x03\x04" + bytes(range(256)), "trees.txt": b"tree\n", "empty": b""}


@pytest.fixture
def folder(tmp_path):
    return write_artifact(tmp_path / "model", CONTENT, TENSORS, FILES)


def reseal(folder, **changes):
    """A manifest with a digest that fits: what only the other checks can refuse."""
    document = json.loads((folder / MANIFEST).read_bytes())
    body = {k: v for k, v in document.items() if k != "manifest_sha256"} | changes
    (folder / MANIFEST).write_bytes(artifact._sealed(body))


def leftovers(parent):
    return sorted(path.name for path in parent.iterdir() if path.name.startswith("."))


def test_round_trip(folder):
    content, tensors, files = read_artifact(folder)
    assert content == CONTENT
    assert files == FILES
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool", ">f4", ">i8"]
)
def test_every_memory_layout_comes_back(tmp_path, dtype):
    array = np.arange(24).reshape(4, 6).astype(dtype)
    views = {"transposed": array.T, "strided": array[::2, ::-1], "scalar": array[1, 1], "none": array[:0]}
    before = {name: view.copy() for name, view in views.items()}
    _, tensors, _ = read_artifact(write_artifact(tmp_path / "m", {}, views, {}))
    for name, view in views.items():
        np.testing.assert_array_equal(tensors[name], before[name])
        np.testing.assert_array_equal(view, before[name])  # storing must not touch what was given
        assert tensors[name].shape == view.shape


def test_manifest_states_size_and_digest_of_every_file(folder):
    document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert document["format"] == "metabalance-model"
    assert document["format_version"] == 1
    assert {"metabalance", "numpy", "torch", "safetensors"} <= document["versions"].keys()
    assert document["files"].keys() == {WEIGHTS, *FILES}
    for name, stated in document["files"].items():
        data = (folder / name).read_bytes()
        assert stated == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_manifest_digest_needs_nothing_but_the_standard_library(folder):
    """Anyone can check it: sorted keys, no spaces, ASCII, without the digest itself."""
    document = json.loads((folder / MANIFEST).read_bytes())
    stated = document.pop("manifest_sha256")
    assert (
        stated
        == hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_flipped_byte_anywhere_is_refused(folder, data):
    path = folder / data.draw(st.sampled_from([MANIFEST, WEIGHTS, "preprocess.skops", "trees.txt"]))
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    mask = data.draw(st.integers(1, 255))
    path.write_bytes(good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :])
    try:
        with pytest.raises(DataError):
            read_artifact(folder)
    finally:
        path.write_bytes(good)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_short_or_padded_is_refused(folder, data):
    path = folder / data.draw(st.sampled_from([MANIFEST, WEIGHTS, "preprocess.skops", "trees.txt"]))
    good = path.read_bytes()
    cut = data.draw(st.integers(0, len(good) - 1))
    path.write_bytes(data.draw(st.sampled_from([good[:cut], good + b"\n", good + good[:1]])))
    try:
        with pytest.raises(DataError):
            read_artifact(folder)
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize("name", [WEIGHTS, "trees.txt", "empty"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"lacks the file {name}"):
        read_artifact(folder)


def test_edited_threshold_is_refused(folder):
    """The smallest edit with the largest effect: it parses, and every file still fits."""
    path = folder / MANIFEST
    text = path.read_text(encoding="utf-8")
    assert "0.30000000000000004" in text
    path.write_text(text.replace("0.30000000000000004", "0.9"), encoding="utf-8")
    with pytest.raises(DataError, match="damaged or was edited"):
        read_artifact(folder)


def test_newer_format_asks_for_an_upgrade(folder):
    reseal(folder, format_version=2, something_new={})
    with pytest.raises(DataError, match="format version 2, but this release reads up to 1; upgrade"):
        read_artifact(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": "1"},
        {"files": []},
        {"files": {WEIGHTS: None}},
        {"files": {WEIGHTS: {"bytes": "1", "sha256": ""}}},
        {"files": {"../secret": {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}}},
        {"files": {}},
        {"content": []},
    ],
)
def test_hostile_manifest_with_a_fitting_digest_is_refused(folder, changes):
    (folder.parent / "secret").write_bytes(b"")
    reseal(folder, **changes)
    with pytest.raises(DataError):
        read_artifact(folder)


def test_weights_that_fit_the_manifest_but_are_none(folder):
    (folder / WEIGHTS).write_bytes(b"no tensors")
    stated = {"bytes": 10, "sha256": hashlib.sha256(b"no tensors").hexdigest()}
    reseal(folder, files={WEIGHTS: stated})
    with pytest.raises(DataError, match="not a file of weights"):
        read_artifact(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"format": "other"}', "[" * 100_000, "\udcff", "1" * 5000]
)
def test_any_other_manifest_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError):
        read_artifact(tmp_path)


def test_what_is_no_model_folder(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        read_artifact(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no manifest"):
        read_artifact(tmp_path)


def test_a_note_of_the_users_does_not_disturb(folder):
    (folder / "README.txt").write_text("trained on Friday")
    assert read_artifact(folder)[0] == CONTENT


def test_link_in_place_of_a_file_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").write_bytes(FILES["trees.txt"])
    (folder / "trees.txt").unlink()
    (folder / "trees.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="not a plain file"):
        read_artifact(folder)


def test_overwrite_only_on_request(folder):
    with pytest.raises(DataError, match="exists; choose another name or ask to overwrite"):
        write_artifact(folder, {"new": 1}, {}, {})
    assert read_artifact(folder)[0] == CONTENT
    write_artifact(folder, {"new": 1}, {}, {}, overwrite=True)
    assert read_artifact(folder) == ({"new": 1}, {}, {})
    assert leftovers(folder.parent) == []


@pytest.mark.parametrize(
    "kind", ["file", "folder", "foreign manifest", "model with a note", "link to a model"]
)
def test_nothing_of_the_users_is_ever_replaced(tmp_path, kind):
    target = tmp_path / "precious"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link to a model":
        target.symlink_to(write_artifact(tmp_path / "model", {}, {}, {}))
    elif kind == "model with a note":
        (write_artifact(target, {}, {}, {}) / "note.txt").write_text("mine")
    else:
        target.mkdir()
        (target / (MANIFEST if kind == "foreign manifest" else "thesis.tex")).write_text("{}")
    with pytest.raises(DataError, match="is not a model folder"):
        write_artifact(target, {}, {}, {}, overwrite=True)
    assert leftovers(tmp_path) == []


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    write_artifact(tmp_path / "out", CONTENT, {}, {})
    assert read_artifact(tmp_path / "out")[0] == CONTENT


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("old", [False, True])
def test_disk_full_at_any_write_leaves_what_was_there(tmp_path, monkeypatch, call, old):
    target = tmp_path / "model"
    if old:
        write_artifact(target, {"old": 1}, {}, {})
    calls = iter(range(100))

    def fsync(descriptor):
        if next(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifact.os, "fsync", fsync)
    with pytest.raises(DataError, match="the disk is full; free some space"):
        write_artifact(target, CONTENT, TENSORS, FILES, overwrite=True)
    assert leftovers(tmp_path) == []
    assert target.exists() is old
    if old:
        assert read_artifact(target)[0] == {"old": 1}


def test_failed_swap_brings_the_old_model_back(folder, monkeypatch):
    monkeypatch.setattr(artifact, "exchange", lambda one, other: False)  # a system without such a call
    real = os.replace

    def replace(source, destination):
        if Path(destination) == folder and not str(source).endswith("-old"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        real(source, destination)

    monkeypatch.setattr(artifact.os, "replace", replace)
    with pytest.raises(DataError, match="permission is denied"):
        write_artifact(folder, {"new": 1}, {}, {}, overwrite=True)
    assert read_artifact(folder)[0] == CONTENT
    assert leftovers(folder.parent) == []


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def stop(path, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        write_artifact(tmp_path / "model", CONTENT, TENSORS, FILES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="permission is denied"):
        write_artifact(tmp_path / "model", {}, {}, {})
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_folder_that_cannot_be_written(tmp_path, monkeypatch, number):
    def mkdtemp(**kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(artifact.tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(DataError, match="cannot be written: "):
        write_artifact(tmp_path / "model", {}, {}, {})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "..\\x", MANIFEST, WEIGHTS, "nul\0"])
def test_file_names_are_plain(tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a file"):
        write_artifact(tmp_path / "model", {}, {}, {name: b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [{"x": float("nan")}, {"x": np.float32(1)}, {"x": (1, 2)}, {1: "x"}, {"x": object()}, {"x": "\udcff"}],
)
def test_manifest_that_json_would_change_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        write_artifact(tmp_path / "model", content, {}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.array(["a"]), np.array([1 + 2j], dtype="complex256")]
)
def test_tensors_that_cannot_be_stored(tmp_path, array):
    with pytest.raises(ValueError, match="cannot be stored"):
        write_artifact(tmp_path / "model", {}, {"x": array}, {})


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code from a model folder was run",))


def test_pickles_are_never_opened(folder):
    payload = pickle.dumps(Bomb())
    for name in (WEIGHTS, "trees.txt"):
        (folder / name).write_bytes(payload)
    stated = {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    reseal(folder, files={"trees.txt": stated})
    with pytest.raises(DataError, match="not a file of weights"):
        read_artifact(folder)
    reseal(folder, files={WEIGHTS: stated, "trees.txt": stated})
    with pytest.raises(DataError, match="not a file of weights"):
        read_artifact(folder)


def test_two_folders_change_names_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "was").write_text(name)
    if not artifact.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "a" / "was").read_text() == "b"
    assert (tmp_path / "b" / "was").read_text() == "a"
    assert not artifact.exchange(tmp_path / "a", tmp_path / "nothing")


def test_what_killed_processes_left_is_swept_and_the_old_model_returns(folder):
    aside = folder.with_name(f".{folder.name}-abcd1234-old")
    folder.rename(aside)
    half = folder.with_name(f".{folder.name}-abcd1234")
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    other = folder.with_name(f".{folder.name}-notes")
    other.mkdir()
    artifact.sweep_writes(folder)
    assert read_artifact(folder)[0] == CONTENT
    assert sorted(p.name for p in folder.parent.iterdir()) == sorted([folder.name, other.name])
