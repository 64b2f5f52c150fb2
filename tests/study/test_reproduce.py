"""Claims: data made honestly, fits that are kept, verdicts that follow the rule, a command that always answers."""

import gzip
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.intervals import Interval
from metabalance.methods import get_method
from metabalance.networks import NETWORKS as LIBRARY
from metabalance.recipes import recipe_options
from metabalance.study.reproduce import run as running
from metabalance.study.reproduce.base import (
    Arm,
    Claim,
    Contrast,
    Data,
    Fit,
    Published,
    Setup,
    Training,
    equal,
    fits_of,
    greater,
)
from metabalance.study.reproduce.claims import CLAIMS, EXPERIMENTS
from metabalance.study.reproduce.images import (
    Source,
    Split,
    count_groups,
    is_there,
    make_split,
    open_source,
)
from metabalance.study.reproduce.measure import NETWORKS, figures, run_fit, thresholded
from metabalance.study.reproduce.page import as_markdown, describe, number, show
from metabalance.study.reproduce.run import (
    FitStore,
    Progress,
    conditions_of,
    needed,
    reproduce,
    run_missing,
    summarise,
)
from metabalance.study.reproduce.verdict import (
    HELD,
    NOT_HELD,
    UNCLEAR,
    Judgement,
    choose,
    interval,
    judge,
    overall,
    verdict,
)

DIGITS = Data("digits", "long_tail", n_max=60, ratio=10, validation=10, test=20)
QUICK = Setup(DIGITS, Training("mlp", epochs=1, batch_size=64))
PUBLISHED = Published("71 %.", "CIFAR-10-LT.", "confirmed", "README")


def claim(**changes):
    plain = Claim(
        name="toy",
        paper="focal",
        statement="Focal wins.",
        published=PUBLISHED,
        arms={"ERM": Arm("erm"), "focal": Arm("focal", tune={"gamma": (1.0, 2.0)})},
        contrasts=(greater("focal > ERM", "focal", "ERM"),),
        small={"digits": QUICK},
        full={"digits": QUICK},
        seeds=2,
    )
    return replace(plain, **changes)


# ------------------------------------------------------------------------------------------------- data


def rows_of(part):
    return {image.tobytes() for image in part[0].numpy()}


@pytest.mark.parametrize("profile", ["long_tail", "step", "linear", "one_vs_rest", "balanced"])
def test_a_split_has_the_profile_and_no_image_twice(profile):
    split = make_split(replace(DIGITS, profile=profile), seed=3, folder=None)
    assert split.counts.max() == 60
    assert split.counts.min() == (60 if profile == "balanced" else 6)
    assert split.train[0].shape == (split.counts.sum(), 1, 8, 8)
    assert split.train[0].min() >= 0
    assert split.train[0].max() == 1
    assert np.bincount(split.validation[1]).tolist() == [10] * 10
    assert np.bincount(split.test[1]).tolist() == [20] * 10
    parts = [rows_of(p) for p in (split.train, split.validation, split.test)]
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))


def test_seeds_change_the_training_rows_and_never_the_test_rows():
    one, same, other = (make_split(DIGITS, seed, None) for seed in (0, 0, 1))
    assert rows_of(one.train) == rows_of(same.train) != rows_of(other.train)
    assert rows_of(one.test) == rows_of(other.test)
    assert one.counts.tolist() == other.counts.tolist()


def test_a_random_order_moves_the_large_class_and_a_smaller_ratio_adds_rows():
    shuffled = replace(DIGITS, order="random")
    assert len({int(make_split(shuffled, seed, None).counts.argmax()) for seed in range(6)}) > 1
    rare, common = (rows_of(make_split(replace(DIGITS, ratio=r), 0, None).train) for r in (10, 2))
    assert rare < common


def test_binary_positives_are_as_rare_in_the_test_rows():
    split = make_split(replace(DIGITS, profile="binary", n_max=200, ratio=20), 0, None)
    assert split.counts.tolist() == [200, 10]
    assert np.bincount(split.test[1]).tolist() == [180, 9]


def test_noise_changes_training_labels_alone():
    clean, noisy = (make_split(replace(DIGITS, noise=rate), 0, None) for rate in (0.0, 0.4))
    assert rows_of(clean.train) == rows_of(noisy.train)
    changed = (clean.train[1] != noisy.train[1]).mean()
    assert 0.2 < changed < 0.4  # a label redrawn among all classes may come back
    assert (clean.validation[1] == noisy.validation[1]).all()
    assert noisy.counts.tolist() == np.bincount(noisy.train[1]).tolist()


def test_unlabelled_rows_are_none_of_the_others():
    split = make_split(replace(DIGITS, n_max=30, unlabeled=2, unlabeled_ratio=5.0), 0, None)
    assert isinstance(split, Split)
    assert split.unlabeled is not None
    total = int(split.counts.sum())
    assert 2 * total - 20 <= len(split.unlabeled) <= 2 * total
    free = {image.tobytes() for image in split.unlabeled.numpy()}
    assert not free & (rows_of(split.train) | rows_of(split.validation) | rows_of(split.test))


def test_groups_of_a_long_tail_are_three_four_and_three_classes():
    groups = count_groups(np.array([500, 299, 179, 107, 64, 38, 23, 13, 8, 5]))
    assert [groups[name].tolist() for name in ("many", "medium", "few")] == [
        [0, 1, 2],
        [3, 4, 5, 6],
        [7, 8, 9],
    ]
    step = count_groups(np.array([50, 50, 5, 5]))
    assert [len(step[name]) for name in ("many", "medium", "few")] == [2, 0, 2]
    assert all(len(index) == 0 for index in count_groups(np.full(4, 9)).values())


def write_idx(path, array, pack=False):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.with_name(path.name + ".gz" * pack).write_bytes(gzip.compress(content) if pack else content)


def small_mnist(folder, per_class=30):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        labels = np.tile(np.arange(10), per_class)
        write_idx(
            folder / f"{part}-images-idx3-ubyte",
            rng.integers(0, 256, (len(labels), 9, 7)),
            pack=part == "t10k",
        )
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return labels


@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw"])
def test_idx_files_are_found_as_others_leave_them_gzipped_or_not(tmp_path, place):
    assert not is_there("fashion-mnist", tmp_path)
    labels = small_mnist(tmp_path / place)
    assert is_there("fashion-mnist", tmp_path)
    source = open_source("fashion-mnist", tmp_path)
    assert isinstance(source, Source)
    np.testing.assert_array_equal(source.train, labels)
    images = source.images("test", np.array([3, 1]))
    assert images.shape == (2, 1, 9, 7)
    assert 0 <= images.min() < images.max() <= 1


def test_official_cifar_files_are_rows_of_a_label_and_three_planes(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (20, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(20) % 10
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(rows.tobytes())
    source = open_source("cifar10", tmp_path)
    assert (len(source.train), len(source.test)) == (100, 20)
    image = source.images("train", np.array([21]))[0].numpy()  # the second row of the second file
    np.testing.assert_allclose(image, rows[1, 1:].reshape(3, 32, 32) / 255, rtol=1e-6)


def test_the_jpeg_set_is_read_by_its_offsets(tmp_path):
    from io import BytesIO

    from PIL import Image

    files = []
    for shade in (0, 100, 200, 250):
        buffer = BytesIO()
        Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    (tmp_path / "cifar10-jpeg").mkdir()
    np.savez(
        tmp_path / "cifar10-jpeg" / "cifar10_jpeg.npz",
        data=np.frombuffer(b"".join(files), np.uint8), offsets=np.cumsum([0, *map(len, files)]),
        label=np.array([0, 1, 2, 3]), is_test=np.array([False, True, False, True]),
    )  # fmt: skip
    source = open_source("cifar10-jpeg", tmp_path)
    assert source.train.tolist() == [0, 2]
    shades = source.images("test", np.array([1, 0])).mean((1, 2, 3)).numpy() * 255
    np.testing.assert_allclose(shades, [250, 100], atol=2)


@pytest.mark.parametrize("damage", [b"\0\0\x0d\x01", b"", None])
def test_a_damaged_file_is_named(tmp_path, damage):
    small_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        open_source("mnist", tmp_path)


def test_real_images_make_the_published_counts(real_data):
    if not is_there("fashion-mnist", real_data):
        pytest.skip("no Fashion-MNIST here")
    split = make_split(Data("fashion-mnist", "long_tail", n_max=500, ratio=100, test=5), 0, real_data)
    assert split.counts.tolist() == [500, 299, 179, 107, 64, 38, 23, 13, 8, 5]
    assert split.train[0].shape[1:] == (1, 28, 28)


# ---------------------------------------------------------------------------------------------- measuring


def test_the_multiclass_area_is_the_mean_of_one_against_rest():
    rng = np.random.default_rng(0)
    scores, target, counts = rng.dirichlet(np.ones(3), 60), np.arange(60) % 3, np.array([9, 3, 1])
    areas = []
    for c in range(3):
        own, rest = scores[target == c, c], scores[target != c, c]
        areas.append(np.mean([(a > b) + (a == b) / 2 for a in own for b in rest]))
    found = figures(scores, target, counts)
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    assert thresholded(scores, target, counts, found)["roc_auc"] == found["roc_auc"]


def test_figures_by_hand():
    scores = np.array([[0.99, 0.01, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.4, 0.3, 0.3]])
    target = np.array([0, 0, 1, 1, 2])
    found = figures(scores, target, np.array([100, 10, 1]))
    assert found["recall"] == [1.0, 0.5, 0.0]
    assert found["accuracy"] == 0.6
    assert (found["many"], found["medium"], found["few"], found["worst"]) == (1.0, 0.5, 0.0, 0.0)
    after = thresholded(scores, target, np.array([100, 10, 1]), found)
    assert after["recall"] == [0.5, 1.0, 1.0]  # 0.99/100 > 0.01/10, but 0.6/100 < 0.4/10


def test_division_by_equal_shares_changes_nothing():
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(4), 50)
    target = rng.integers(0, 4, 50)
    found = figures(scores, target, np.full(4, 7))
    after = thresholded(scores, target, np.full(4, 7), found)
    for name, before in found.items():
        np.testing.assert_allclose(after[name], before, rtol=1e-12)


def test_arms_start_from_the_same_rows_and_weights_and_fits_repeat():
    records = [run_fit(Fit(QUICK, recipe, {}, 1), None) for recipe in ("erm", "erm", "balanced_softmax")]
    assert records[0]["raw"] == records[1]["raw"] != records[2]["raw"]
    assert records[0]["counts"] == records[2]["counts"]
    assert 0 <= records[0]["validation"] <= 1


def test_a_robust_accuracy_is_below_the_plain_one():
    setup = Setup(replace(DIGITS, profile="balanced"), Training("mlp", epochs=5, batch_size=64), attack=0.1)
    raw = run_fit(Fit(setup, "erm", {}, 0), None)["raw"]
    assert 0 <= raw["robust"] < raw["balanced_accuracy"] - 0.05


def test_the_narrow_network_learns():
    setup = QUICK.but(module="convnet-32", epochs=8)
    assert setup.training.module in NETWORKS
    assert run_fit(Fit(setup, "erm", {}, 0), None)["raw"]["balanced_accuracy"] > 0.7


# ------------------------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("low", "high", "margin", "same", "word"),
    [
        (0.01, 0.03, 0.0, False, HELD),
        (-0.01, 0.03, 0.0, False, UNCLEAR),
        (-0.03, -0.01, 0.0, False, NOT_HELD),
        (-0.004, 0.03, 0.005, False, HELD),
        (-0.02, -0.01, 0.005, False, NOT_HELD),
        (-0.004, 0.004, 0.005, True, HELD),
        (-0.004, 0.006, 0.005, True, UNCLEAR),
        (0.006, 0.02, 0.005, True, NOT_HELD),
        (0.0, 0.0, 0.005, True, HELD),
        (math.nan, math.nan, 0.0, False, UNCLEAR),
    ],
)
def test_the_word_follows_from_the_interval(low, high, margin, same, word):
    contrast = Contrast("a > b", "accuracy", (), margin, same)
    assert verdict(Interval((low + high) / 2, low, high, 0.95, "t"), contrast) == word


def judged(says, condition, word):
    return Judgement(Contrast(says, "accuracy", ()), condition, Interval(0, 0, 0, 0.95, "t"), word)


@pytest.mark.parametrize(
    ("judgements", "word"),
    [
        ([("a", "x", HELD), ("b", "x", HELD)], HELD),
        ([("a", "x", HELD), ("b", "x", UNCLEAR)], "held in part: a"),
        ([("a", "x", HELD), ("a", "y", NOT_HELD)], "held under x"),
        ([("a", "x", HELD), ("a", "y", UNCLEAR), ("b", "x", HELD), ("b", "y", HELD)], "held under x"),
        ([("a", "x", UNCLEAR), ("b", "x", NOT_HELD)], UNCLEAR),
        ([("a", "x", NOT_HELD), ("b", "x", NOT_HELD)], NOT_HELD),
    ],
)
def test_the_word_on_the_whole_claim(judgements, word):
    assert overall([judged(*j) for j in judgements]) == word


def test_a_control_is_shown_and_decides_nothing():
    control = Judgement(Contrast("c", "accuracy", (), control=True), "x", Interval(0, 0, 0, 0.95, "t"), HELD)
    assert overall([control, judged("a", "x", NOT_HELD)]) == NOT_HELD
    assert overall([replace(control, verdict=UNCLEAR), judged("a", "x", HELD)]) == HELD


def test_an_interval_is_student_t_over_seeds():
    from scipy import stats

    values = [0.71, 0.74, 0.70, 0.77]
    found = interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose([found.low, found.high], [low, high], atol=1e-9)


def test_contrasts_are_paired_over_seeds_and_weigh_their_terms():
    def records(values):
        return [{"raw": {"accuracy": v}, "thresholding": {"accuracy": v + 1}} for v in values]

    arms = {"a": Arm("erm"), "b": Arm("erm", after="thresholding")}
    drop = Contrast("drop", "accuracy", (("x", "a", 1.0), ("y", "a", -1.0), ("x", "b", 2.0)))
    toy = claim(arms=arms, contrasts=(greater("a > b", "a", "b", "accuracy"), drop))
    found = judge(
        toy,
        {("x", "a"): records([0.1, 0.9]), ("y", "a"): records([0.0, 0.8]), ("x", "b"): records([0.0, 0.8])},
        ["x", "y"],
    )
    # b did not run under y: there is no such comparison, and none is invented.
    assert [(j.contrast.says, j.condition) for j in found] == [("a > b", "x"), ("drop", "")]
    assert found[0].interval.value == pytest.approx(-0.9)
    assert found[0].interval.high - found[0].interval.low < 1e-9  # the seeds differ, the pairs do not
    assert found[1].interval.value == pytest.approx(0.1 + 2 * 1.4)


def test_a_tuned_arm_is_chosen_on_validation_rows_alone():
    chosen = choose([{"validation": 0.6, "raw": 0.9}, {"validation": 0.7, "raw": 0.1}])
    assert chosen["raw"] == 0.1
    fits = fits_of(
        Arm("focal", {"a": 1}, {"b": (1, 2), "c": (3, 4)}, {"epochs": 9, "n_max": 7}), QUICK, seed=5
    )
    assert [fit.options for fit in fits] == [{"a": 1, "b": b, "c": c} for b in (1, 2) for c in (3, 4)]
    assert {(f.setup.training.epochs, f.setup.data.n_max, f.seed) for f in fits} == {(9, 7, 5)}


def test_equal_says_within():
    contrast = equal("same", "a", "b", margin=0.01)
    assert contrast.equal
    assert [coefficient for _, _, coefficient in contrast.terms] == [1.0, -1.0]


# ------------------------------------------------------------------------------------------------- running


def test_a_claim_runs_once_and_is_kept(tmp_path, monkeypatch):
    first: list[Progress] = []
    result = reproduce(claim(), tmp_path, report=first.append)
    assert (first[-1].done, first[-1].total) == (6, 6)  # 2 seeds of ERM, and of focal with 2 values
    monkeypatch.setattr(running, "run_fit", lambda *_: pytest.fail("a finished fit was repeated"))
    again = reproduce(claim(), tmp_path)
    assert again == result
    stored = json.loads((tmp_path / "toy.json").read_text())
    assert stored["verdict"] == result["verdict"]
    assert stored["contrasts"][0]["condition"] == "digits"
    text = (tmp_path / "toy.md").read_text()
    assert all(part in text for part in ("71 %.", "confirmed", "| digits | ERM |", "focal > ERM", "2 seeds"))
    assert as_markdown(again) == text


def test_workers_give_the_same_figures(tmp_path):
    fits = needed(claim(arms={"ERM": Arm("erm")}, contrasts=()), {"digits": QUICK}, 2)
    here, beside = FitStore(tmp_path / "here"), FitStore(tmp_path / "beside")
    assert run_missing(fits, here, data=None, workers=1) == {}
    assert run_missing(fits, beside, data=None, workers=2) == {}
    for fit in fits:
        one, other = here.load(fit), beside.load(fit)
        assert one["raw"] == other["raw"]


def test_what_was_finished_when_a_run_was_stopped_is_kept(tmp_path, monkeypatch):
    class Stopped(BaseException):
        pass

    def stop(progress):
        if progress.done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        reproduce(claim(), tmp_path, report=stop)
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").iterdir()}
    assert len(finished) == 2
    reproduce(claim(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_claims_share_the_fits_that_they_have_in_common():
    other = claim(name="other", arms={"ERM": Arm("erm"), "CB": Arm("class_balanced")})
    paths = [{FitStore("x").path(fit) for fit in needed(c, c.small, 2)} for c in (claim(), other)]
    assert len(paths[0] & paths[1]) == 2
    everything = Fit(QUICK, "focal", {"gamma": 1.0}, 0)
    changed = [
        replace(everything, seed=1), replace(everything, options={"gamma": 2.0}), replace(everything, recipe="erm"),
        replace(everything, setup=QUICK.but(lr=0.1)), replace(everything, setup=QUICK.but(ratio=5)),
        replace(everything, setup=QUICK.but(attack=0.1)),
    ]  # fmt: skip
    assert len({FitStore("x").path(fit) for fit in (everything, *changed)}) == 7


def test_conditions_run_only_their_arms():
    toy = claim(small={"x": QUICK, "y": QUICK.but(ratio=5)}, only={"y": ("ERM",)})
    assert len(needed(toy, toy.small, 1)) == 4  # ERM and two of focal under x, ERM under y


def test_a_fit_that_fails_is_told_and_the_others_are_kept(tmp_path):
    broken = claim(arms={"ERM": Arm("erm"), "focal": Arm("focal", {"gamma": -1.0})})
    with pytest.raises(DataError, match=r"toy cannot be judged, since 2 of its 4 fits failed: .*gamma"):
        reproduce(broken, tmp_path)
    assert len(list((tmp_path / "fits").glob("erm-*.json"))) == 2
    assert not (tmp_path / "toy.json").exists()


def test_a_damaged_fit_and_a_foreign_folder_are_refused(tmp_path):
    store, fit = FitStore(tmp_path), Fit(QUICK, "erm", {}, 0)
    store.save(fit, {"x": 1})
    assert store.load(fit) == {"x": 1}
    store.path(fit).write_text("{half")
    with pytest.raises(DataError, match="cannot be read"):
        store.load(fit)
    with pytest.raises(DataError, match="holds no run"):
        reproduce(claim(), tmp_path)


def test_a_deadline_leaves_the_rest_for_later(tmp_path):
    fits = needed(claim(), {"digits": QUICK}, 1)
    assert run_missing(fits, FitStore(tmp_path), data=None, workers=1, deadline=0.0) == {}
    assert all(FitStore(tmp_path).load(fit) is None for fit in fits)


def test_parts_are_judged_one_by_one(tmp_path):
    store = FitStore(tmp_path)
    for recipe, gammas, score in (("erm", ({},), 0.5), ("focal", ({"gamma": 1.0}, {"gamma": 2.0}), 0.7)):
        for seed in range(3):
            for options in gammas:
                raw = dict.fromkeys(("balanced_accuracy", "many", "medium", "few"), score + seed / 100)
                raw["balanced_accuracy"] += 0.001 * seed * (recipe == "focal")
                store.save(
                    Fit(QUICK, recipe, options, seed),
                    {"raw": raw, "thresholding": raw, "validation": 0.5, "counts": [2, 1], "seconds": 1.0},
                )
    two = claim(
        contrasts=(
            greater("up", "focal", "ERM", part="i"),
            greater("down", "ERM", "focal", part="ii"),
        )
    )
    result = summarise(two, two.small, store, 3)
    assert result["parts"] == {"i": HELD, "ii": NOT_HELD}
    assert "- i: **held**" in as_markdown(result | {"full": False, "fallback": False})


def test_lossy_images_stand_in_for_official_ones_under_their_own_name(tmp_path):
    wanted = claim(full={"cifar": QUICK.but(images="cifar10")}, small={"cifar": QUICK.but(images="cifar10")})
    with pytest.raises(DataError, match=r"'cifar10' are not there: .*--data or in the environment"):
        conditions_of(wanted, tmp_path, full=True)
    (tmp_path / "cifar10-jpeg").mkdir()
    (tmp_path / "cifar10-jpeg" / "cifar10_jpeg.npz").touch()
    found, fallback = conditions_of(wanted, tmp_path, full=True)
    assert not fallback
    assert found["cifar"].data.images == "cifar10-jpeg"


def test_digits_stand_in_for_images_that_are_not_there_but_never_at_full_scale(tmp_path):
    toy = claim(
        small={"mnist": QUICK.but(images="mnist")},
        fallback={"digits": QUICK},
        full={"mnist": QUICK.but(images="mnist")},
    )
    assert conditions_of(toy, None, full=False) == ({"digits": QUICK}, True)
    with pytest.raises(DataError, match="'mnist' are not there"):
        conditions_of(toy, None, full=True)


# ------------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_whole(name):
    it = CLAIMS[name]
    assert name == it.name
    assert get_method(it.paper).papers
    assert it.published.status in ("confirmed", "secondary", "unconfirmed")
    assert it.seeds >= 3
    assert it.contrasts
    conditions = it.small.keys() | it.fallback.keys()
    for contrast in it.contrasts:
        assert sum(coefficient for _, _, coefficient in contrast.terms) == pytest.approx(0)
        assert {arm for _, arm, _ in contrast.terms} <= it.arms.keys()
        assert {c for c, _, _ in contrast.terms} <= conditions | {"*"}
    for setups in (it.small, it.fallback, it.full):
        for condition, setup in setups.items():
            assert setup.training.module in LIBRARY.keys() | NETWORKS.keys() | {"mlp"}
            for arm in it.arms_of(condition).values():
                for fit in fits_of(arm, setup, 0):  # names of changes are checked by making them
                    assert set(fit.options) <= recipe_options(fit.recipe).keys()
    assert all(s.data.images == "digits" for s in it.fallback.values())


def the_data(it, setups):
    return {
        fit.setup.data
        for c, s in setups.items()
        for arm in it.arms_of(c).values()
        for fit in fits_of(arm, s, 0)
    }


@pytest.mark.parametrize("name", [name for name, it in CLAIMS.items() if it.fallback or name == "srat"])
def test_the_digits_suffice_for_what_falls_back_to_them(name):
    it = CLAIMS[name]
    for data in the_data(it, it.fallback or it.small):
        for seed in range(it.seeds):
            assert make_split(data, seed, None).counts.min() >= 1


def test_the_images_suffice_for_every_claim(real_data):
    wanted = {d for it in CLAIMS.values() for setups in (it.small, it.full) for d in the_data(it, setups)}
    for data in wanted:
        name = "cifar10-jpeg" if data.images == "cifar10" else data.images
        if not is_there(name, real_data):
            continue
        # Their sizes are checked, not their pixels: those of CIFAR-10 take long to unpack.
        source = open_source(name, real_data)
        blank = replace(source, read=lambda part, rows: np.zeros((len(rows), 1, 1, 1), np.uint8))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("metabalance.study.reproduce.images.open_source", lambda *_, s=blank: s)
            assert make_split(data, 0, real_data).counts.min() >= 1


# ------------------------------------------------------------------------------------------------- command


def run_command(*arguments, env=None):
    return CliRunner().invoke(
        app, ["reproduce", *map(str, arguments)], env={"METABALANCE_DATA": None} | (env or {})
    )


def test_without_a_name_the_claims_are_listed():
    done = run_command(env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert all(name in done.output for name in (*CLAIMS, *EXPERIMENTS))


def test_a_verdict_is_no_failure(tmp_path, monkeypatch):
    from metabalance.study.reproduce import command

    monkeypatch.setitem(command.CLAIMS, "toy", claim())
    done = run_command("toy", "--out", tmp_path / "out", "--workers", 1, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "Verdict" in done.output
    assert "71 %. Set-up: CIFAR-10-LT. [confirmed; README]" in done.output
    assert json.loads((tmp_path / "out" / "toy.json").read_text())["seeds"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["focall"], "the claim 'focall' is unknown; did you mean focal?"),
        (["focal", "--data", "nowhere"], "nowhere is no folder"),
        (["focal", "--full", "--data", "."], "'cifar10' are not there"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_command(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_numbers_and_set_ups_for_people():
    assert number({"value": None, "low": None, "high": None}) == "-"
    assert number({"value": 0.5, "low": math.nan, "high": math.nan}) == "0.500"
    assert number({"value": 0.00151, "low": -0.001, "high": 0.004}, sign=True) == "+0.0015 [-0.0010, +0.0040]"
    setup = {**json.loads(json.dumps(Fit(QUICK, "erm", {}, 0).as_dict()))["setup"], "counts": [6, 60]}
    assert "digits, long tail, training counts 60, 6; 10 validation images" in describe(setup)
    assert callable(show)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_every_arm_of_every_claim_trains(name, tmp_path):
    """Small digits in place of the claim's images, two epochs, and the claim's own rule to the end."""
    tiny = {"images": "digits", "n_max": 40, "validation": 8, "test": 10, "epochs": 2, "batch_size": 32}
    it = CLAIMS[name]
    conditions = {
        condition: setup.but(**tiny, ratio=min(setup.data.ratio, 10.0), module="convnet-32")
        for condition, setup in it.small.items()
    }
    most = {"unlabeled": 1, "unlabeled_ratio": 5.0}
    arms = {
        arm: replace(a, changes={k: min(v, most.get(k, v)) for k, v in a.changes.items()})
        for arm, a in it.arms.items()
    }
    result = reproduce(replace(it, small=conditions, fallback={}, arms=arms), tmp_path, seeds=2)
    assert result["verdict"]
    assert len(result["table"]) == sum(len(it.arms_of(condition)) for condition in conditions)
    assert (tmp_path / f"{name}.md").read_text()


# ------------------------------------------------------------------------------------------- results page


@pytest.fixture(scope="module")
def runner():
    import importlib.util
    import sys
    from pathlib import Path

    path = Path(__file__).parents[2] / "benchmarks" / "images.py"
    spec = importlib.util.spec_from_file_location("images_runner", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["images_runner"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_results_page_says_what_is_finished_and_what_is_not(runner, tmp_path):
    store, piece = FitStore(tmp_path), runner.PIECES[0]
    scores = {"erm": 0.5, "focal": 0.6, "logit_adjustment": 0.3}
    for (name, seed), fit in piece.fits(3).items():
        if name in scores and not (name == "focal" and seed == 2):
            value = scores[name] + seed / 100 * (1 + (name == "focal"))
            raw = dict.fromkeys(("balanced_accuracy", "many", "medium", "few", "roc_auc"), value)
            record = {"raw": raw | {"recall": [1.0, 0.0]}, "counts": [30, 10], "seconds": 7.0}
            store.save(fit, record)
    broken = store.path(piece.fits(3)["dice", 0])
    (tmp_path / "failures.json").write_text(json.dumps({broken.name: "it raised"}))
    text = runner.page(runner.PIECES, tmp_path, 3)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ["focal", "erm", "logit_adjustment"]  # best first
    assert "(2 of 3 seeds)" in rows[0]
    assert "| 0.750 |" in rows[1]  # recalls 1 and 0 at shares of 3/4 and 1/4
    assert "`dice`: it raised." in text
    assert "`drw`" in text[text.index("Not in the table") :]
    assert "CIFAR-10-LT, ratio 100: not run yet" in text
    assert "1 below" in text


def test_every_piece_compares_with_plain_training_on_every_seed(runner):
    assert len({piece.name for piece in runner.PIECES}) == len(runner.PIECES)
    for piece in runner.PIECES:
        fits = piece.fits(2)
        assert ("erm", 1) in fits
        assert next(iter(fits)) == ("erm", 0)
        for fit in fits.values():
            assert set(fit.options) <= recipe_options(fit.recipe).keys()
    assert {name for name, _ in runner.PIECES[0].fits(1)} >= set(runner.RECIPES)
