from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch

from metabalance.data.cycle import Cycle
from metabalance.data.errors import DataError
from metabalance.data.labelled_parts import LabelledParts, ParquetRows, places
from metabalance.data.parts import ParquetParts
from metabalance.data.preprocess import TablePreprocessor
from metabalance.data.streamed import ArrayRows, Rows, StreamedLoader


def numbered(counts=(900, 80, 20), unit=100, kept=100, seed=0):
    """Rows whose only feature is their number."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.from_numpy(np.random.default_rng(seed).permutation(len(y)))]
    return ArrayRows(torch.arange(len(y), dtype=torch.float32)[:, None], y, unit, kept)


def seen(loader, epoch=0):
    loader.set_epoch(epoch)
    return torch.cat([batch[0][:, 0] for batch in loader]).long()


def test_each_epoch_sees_each_row_once_in_another_order():
    loader = StreamedLoader(numbered(), 64, window_bytes=4 * 300)
    first, second = seen(loader, 0), seen(loader, 1)
    assert len(loader) == 16
    for order in (first, second):
        assert order.sort().values.tolist() == list(range(1000))
    assert (first == second).float().mean() < 0.05
    torch.testing.assert_close(seen(loader, 0), first)
    torch.testing.assert_close(seen(StreamedLoader(numbered(), 64, window_bytes=4 * 300)), first)


def test_windows_mix_units_and_all_pairs_of_units_meet():
    loader = StreamedLoader(numbered(), 50, window_bytes=4 * 200)
    met = set()
    for epoch in range(40):
        units = seen(loader, epoch) // 100
        for start in range(0, 1000, 200):  # a window holds two units, and no others
            window = units[start : start + 200].unique().tolist()
            assert len(window) == 2
            met.add(tuple(window))
        # Mixed, not one after the other: neighbours come from both units half of the time.
        assert 0.35 < (units[1:] != units[:-1]).float().mean() < 0.65
    assert len(met) == 45


def test_within_a_window_places_are_uniform():
    rows = numbered(unit=500)
    counts = np.zeros(10)
    for epoch in range(200):
        counts[int((seen(StreamedLoader(rows, 100, seed=epoch)) == 7).nonzero()) // 100] += 1
    assert ((counts - 20) ** 2 / 20).sum() < 27.9  # chi-squared with 9 degrees of freedom, 0.1 %


def test_shares_are_those_asked_for_in_every_stretch():
    rows = numbered()
    loader = StreamedLoader(rows, 60, shares=[1, 1, 1])
    batches = [target for _, target in loader]
    for target in batches:
        assert (torch.bincount(target, minlength=3) - 20).abs().max() <= 2
    assert len(batches) == len(loader) == 45  # 900 rows of the class that streams, 20 a batch
    whole = torch.bincount(torch.cat(batches), minlength=3)
    assert (whole - 900).abs().max() <= 3
    times = torch.bincount(seen(loader), minlength=1000)
    for c in range(3):  # of each class none is seen twice more often than another, nor left out
        of_class = times[rows.target == c]
        assert of_class.max() - of_class.min() <= 1


def test_large_classes_keep_pace_with_the_scarcest():
    rows = numbered((600, 300, 90, 10), kept=10)
    loader = StreamedLoader(rows, 40, shares=[1, 1, 1, 1])
    first, second = seen(loader, 0), seen(loader, 1)
    assert (torch.bincount(rows.target[first]) - 90).abs().max() <= 5
    # Of the largest class another part is taken in each pass.
    parts = [set(order[rows.target[order] == 0].tolist()) for order in (first, second)]
    assert len(parts[0] & parts[1]) < 40


def test_all_classes_in_memory_need_no_stream():
    rows = numbered((40, 30), kept=100)
    loader = StreamedLoader(rows, 10, shares=[1, 1])
    assert len(loader) == 7
    assert torch.bincount(torch.cat([y for _, y in loader])).tolist() == [35, 35]


@pytest.mark.parametrize("shares", [None, [1, 1, 1]])
@pytest.mark.parametrize("at", [0, 1, 7, 15])
def test_resumes_at_the_next_batch_to_the_bit(shares, at):
    def make():
        loader = StreamedLoader(
            numbered(), 64, shares, torch.tensor([1.0, 2.0, 3.0]), 5, window_bytes=4 * 250
        )
        loader.set_epoch(3)
        return loader

    whole = list(make())
    broken = make()
    iterator = iter(broken)
    list(islice(iterator, at))
    state = broken.state_dict()
    later = make()
    later.load_state_dict(state)
    later.set_epoch(3)
    rest = list(later)
    assert len(rest) == len(whole) - at
    for a, b in zip(rest, whole[at:]):
        for one, other in zip(a, b):
            assert torch.equal(one, other)
    assert torch.equal(whole[0][2], torch.tensor([1.0, 2.0, 3.0])[whole[0][1]])


def test_works_in_a_cycle_with_resume():
    def make():
        return Cycle(StreamedLoader(numbered(), 64, window_bytes=4 * 250), 7)

    whole, again = make(), make()
    expected = [batch[0] for _ in range(4) for batch in whole]
    got = [batch[0] for _ in range(2) for batch in again]
    third = make()
    third.load_state_dict(again.state_dict())
    got += [batch[0] for _ in range(2) for batch in third]
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_memory_is_two_windows_whatever_the_rows():
    class Watched(ArrayRows):
        largest = 0

    for units in (10, 100):
        rows = numbered((units * 100, 20), unit=100)
        loader = StreamedLoader(rows, 50, window_bytes=4 * 300)
        largest = 0
        for _ in loader:
            held = len(loader._current[3])
            if loader._next is not None:
                held += len(loader._next[2].result()[1])
            largest = max(largest, held)
        assert largest <= 2 * 300


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="batch_size"):
        StreamedLoader(numbered(), 0)
    empty = numbered((50, 5))
    empty.unit_counts = np.pad(empty.unit_counts, ((0, 0), (0, 1)))
    with pytest.raises(ValueError, match="without rows"):
        StreamedLoader(empty, 5, shares=[1, 1, 1])
    empty.unit_counts = empty.unit_counts * 0
    with pytest.raises(ValueError, match="no training rows"):
        StreamedLoader(empty, 5)


# ---------------------------------------------------------------------------------------- the split


@pytest.mark.parametrize("rows", [30, 1000])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.55])
def test_places_split_every_class_evenly(rows, share):
    for seed in range(20):
        u = places(np.zeros(rows, int), np.zeros(1, int), np.array([3], np.uint64), seed)
        assert ((u >= 0) & (u < 1)).all()
        for stop in range(20, rows, 20):
            assert abs((u[:stop] < share).sum() - share * stop) < 2


def test_places_do_not_depend_on_how_the_rows_are_cut():
    codes = np.random.default_rng(0).integers(0, 3, 500)
    keys = np.array([5, 6, 7], np.uint64)
    whole = places(codes, np.zeros(3, int), keys, 1)
    seen_ = np.zeros(3, int)
    parts = [places(part, seen_, keys, 1) for part in np.split(codes, [7, 130, 131])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (places(codes, np.zeros(3, int), keys, 2) != whole).all()
    # Not periodic: the places of rows twenty apart are unrelated.
    u = places(np.zeros(20_000, int), np.zeros(1, int), keys[:1], 0)
    for lag in (1, 2, 20, 40):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 0.12


@pytest.fixture
def labelled(tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.03, "yes", "no ")
    frame = pd.DataFrame(
        {"x": rng.normal(size=3000), "c": rng.choice(["a", "b"], 3000), "y": y, "row": np.arange(3000)}
    )
    for i in range(3):
        frame[i * 1000 : (i + 1) * 1000].to_parquet(
            tmp_path / f"{i}.parquet", row_group_size=300, index=False
        )
    return LabelledParts(ParquetParts(tmp_path), "y", holdout=0.1, validation=0.2, seed=4), frame


def test_classes_are_counted_and_rows_split(labelled):
    parts, frame = labelled
    assert parts.classes == ("no", "yes")
    assert parts.positive == 1
    assert parts.counts.tolist() == [(frame["y"] == "no ").sum(), (frame["y"] == "yes").sum()]
    of_part = parts.unit_counts.sum(axis=1)
    np.testing.assert_allclose(of_part / parts.counts, [[0.72] * 2, [0.18] * 2, [0.1] * 2], atol=0.03)
    part = np.concatenate(
        [parts.part(place) for u in range(len(parts.parts.units)) for _, _, place in parts.scan(u)]
    )
    assert np.bincount(part).tolist() == of_part.sum(axis=1).tolist()


def test_rows_read_are_the_training_rows_preprocessed(labelled):
    parts, frame = labelled
    preprocessor = TablePreprocessor().fit(frame[["x", "c", "row"]])
    rows: Rows = ParquetRows(parts, ["x", "c", "row"], preprocessor, {})
    read = [rows.read(u) for u in range(len(parts.parts.units))]
    x, y = (torch.cat(column) for column in zip(*read))
    place = np.concatenate([p for u in range(len(parts.parts.units)) for _, _, p in parts.scan(u, [])])
    train = parts.part(place) == 0
    np.testing.assert_array_equal(x.numpy(), preprocessor.transform(frame[train]))
    np.testing.assert_array_equal(y.numpy(), (frame["y"][train] == "yes").astype(int))
    validation, kept = parts.gather([parts.edges], kept=[1])
    np.testing.assert_array_equal(validation[0]["row"], np.flatnonzero(parts.part(place) == 1))
    np.testing.assert_array_equal(kept[0]["row"], np.flatnonzero(train & (frame["y"] == "yes")))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 1, None], "missing or infinite"),
        ([1, 1, 1], "one class only"),
        (np.random.default_rng(0).normal(size=30), "quantity"),
        ([0, 0, 1], "a class of one row"),
    ],
)
def test_what_is_no_target_is_refused(tmp_path, values, said):
    pd.DataFrame({"x": range(len(values)), "y": values}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=said):
        LabelledParts(ParquetParts(tmp_path / "a.parquet"), "y")
