"""The run folder: whole files only, one protocol, clear refusals."""

import json
import os

import numpy as np
import pytest

from metabalance.data.errors import DataError
from metabalance.study.store import RunStore, locked, save_fit, write_atomically

PROTOCOL = {"format": 1, "data_fingerprint": "abc", "folds": 5}


def test_a_fit_comes_back_as_stored(tmp_path):
    store = RunStore(tmp_path / "run")
    store.open(PROTOCOL)
    assert not store.has("erm", 0, 1)
    assert store.load("erm", 0, 1) is None
    save_fit(store.path("erm", 0, 1), {"label": "erm", "notes": ["a", "b"]}, np.array([[0.25, 0.75]]))
    assert store.has("erm", 0, 1)
    record = store.load("erm", 0, 1)
    assert record["notes"] == ["a", "b"]
    np.testing.assert_array_equal(record["outputs"], [[0.25, 0.75]])


def test_labels_that_look_alike_have_their_own_files(tmp_path):
    store = RunStore(tmp_path)
    paths = {
        store.path(label, 0, 0)
        for label in ("focal(gamma=1)", "focal(gamma=2)", "focal_gamma_1_", "a" * 200, "a" * 201)
    }
    assert len(paths) == 5
    assert all(len(p.name) < 120 for p in paths)


def test_the_same_protocol_goes_on_and_another_is_refused(tmp_path):
    RunStore(tmp_path / "run").open(PROTOCOL)
    RunStore(tmp_path / "run").open(PROTOCOL)
    with pytest.raises(DataError, match=r"another data fingerprint \('abc', now 'xyz'\)"):
        RunStore(tmp_path / "run").open(PROTOCOL | {"data_fingerprint": "xyz"})
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == PROTOCOL


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="not empty and holds no run"):
        RunStore(tmp_path).open(PROTOCOL)
    with pytest.raises(DataError, match="is a file"):
        RunStore(tmp_path / "thesis.tex").open(PROTOCOL)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ".run.json.123.tmp").write_text("{ha")
    RunStore(tmp_path / "begun").open(PROTOCOL)  # a run that was killed at its first file
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text("{half")
    with pytest.raises(DataError, match="cannot be read"):
        RunStore(tmp_path / "other").open(PROTOCOL)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_damaged_fit_is_named(tmp_path):
    store = RunStore(tmp_path)
    path = store.path("erm", 0, 0)
    save_fit(path, {"label": "erm"}, np.ones((2, 2)))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read"):
        store.load("erm", 0, 0)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "advice.json"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["advice.json"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "advice.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_was_writing_is_swept_away(tmp_path):
    store = RunStore(tmp_path / "run")
    store.open(PROTOCOL)
    save_fit(store.path("erm", 0, 0), {"label": "erm"}, np.ones((2, 2)))
    (store.folder / "scratch").mkdir()
    (store.folder / "scratch" / "table.feather").write_bytes(b"half")
    (store.folder / "fits" / ".erm.npz.123.tmp").write_bytes(b"half")
    store.sweep()
    assert sorted(p.name for p in store.folder.iterdir()) == ["fits", "run.json"]
    assert [p.name for p in (store.folder / "fits").iterdir()] == [store.path("erm", 0, 0).name]


def test_two_processes_do_not_share_a_run_folder(tmp_path):
    with locked(tmp_path), pytest.raises(DataError, match="another process works in"), locked(tmp_path):
        pass
    with locked(tmp_path):  # free again
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_flipped_bit_of_a_stored_fit_is_found(tmp_path):
    store = RunStore(tmp_path)
    path = store.path("erm", 0, 0)
    save_fit(path, {"label": "erm"}, np.array([[0.25, 0.75]]))
    whole, good = path.read_bytes(), store.load("erm", 0, 0)
    refused = 0
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        try:
            found = store.load("erm", 0, 0)
        except DataError:
            refused += 1
        else:  # a date inside the archive, say
            assert found["label"] == good["label"]
            np.testing.assert_array_equal(found["outputs"], good["outputs"])
    assert refused > len(whole) / 2


def test_a_fit_of_an_earlier_release_has_no_digest(tmp_path):
    path = RunStore(tmp_path).path("erm", 0, 0)
    path.parent.mkdir()
    np.savez(path, record=np.array('{"label": "erm"}'), probabilities=np.ones((2, 2), np.float32))
    assert RunStore(tmp_path).load("erm", 0, 0)["label"] == "erm"


def test_a_change_of_the_data_is_told_in_words(tmp_path):
    before = {"rows": 9, "columns": {"a": "1", "b": "2"}, "target": "x"}
    RunStore(tmp_path / "run").open(PROTOCOL, before)
    RunStore(tmp_path / "run").open(PROTOCOL, before)
    now = {"rows": 9, "columns": {"a": "3", "c": "2"}, "target": "y"}
    said = (
        r"column 'b' is gone; column 'c' is new; values changed in column 'a'; values changed in the target\)"
    )
    with pytest.raises(DataError, match=said):
        RunStore(tmp_path / "run").open(PROTOCOL | {"data_fingerprint": "xyz"}, now)
    with pytest.raises(
        DataError, match=r"another data fingerprint .* and another folds \(5, now 4\); restore"
    ):
        RunStore(tmp_path / "run").open({"format": 1, "data_fingerprint": "xyz", "folds": 4}, now)


def test_a_folder_that_its_holder_removed_is_not_worked_in(tmp_path):
    folder = tmp_path / "fit.unfinished"
    folder.mkdir()
    real = os.open

    def removed_meanwhile(path, flags):
        descriptor = real(path, flags)
        folder.rmdir()
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", removed_meanwhile)
        with pytest.raises(DataError, match="has just finished"), locked(folder):
            pass


def test_a_link_planted_at_the_temporary_name_is_not_written_through(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / f".goal.{os.getpid()}.tmp").symlink_to(other)
    write_atomically(tmp_path / "goal", b"new")
    assert other.read_text() == "kept"
    assert (tmp_path / "goal").read_bytes() == b"new"
