"""Images through the workbench: compared, trained, shipped, scored; nothing assumes a table."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.checks import check_images
from metabalance.data.errors import DataError
from metabalance.data.images import Images, read_images
from metabalance.data.target import encode_target
from metabalance.methods import METHODS
from metabalance.study.candidates import BASELINES, Candidate, parse_candidates
from metabalance.study.compare import Plan, run_comparison
from metabalance.study.fitting import Settings, fit_candidate, rehearse
from metabalance.study.given import parse_size
from metabalance.study.jobs import FoldData, prepare_fold
from metabalance.study.load import load_data, load_images, make_images, make_table
from metabalance.study.ship import TrainedModel, candidate_of
from metabalance.study.sources import ImageTable, Source, Table, load_rows, open_rows
from metabalance.study.summary import summarise, write_results
from metabalance.study.train import train_table

COUNTS = {"bar": 40, "dot": 12}


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result, *said):
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for part in said:
        assert part in lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bars and dots on noise, grey, 8x8."""
    rng = np.random.default_rng(0)
    photos = tmp_path_factory.mktemp("images") / "photos"
    for label, count in COUNTS.items():
        (photos / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 120, (8, 8))
            row, column = rng.integers(0, 6, 2)
            if label == "bar":
                pixels[:, column] += 130
            else:
                pixels[row : row + 2, column : column + 2] += 130
            Image.fromarray(pixels.astype(np.uint8)).save(photos / label / f"{i:02}.png")
    return photos


@pytest.fixture(scope="module")
def table(folder):
    return load_images(folder)


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    plan = Plan(
        tuple(parse_candidates("erm,smote,logistic,lightgbm(n_estimators=5)")), folds=2, seeds=1, workers=2,
        network={"epochs": 1, "batch_size": 16, "module": "convnet", "augment": False},
    )  # fmt: skip
    out = tmp_path_factory.mktemp("run")
    return run_comparison(table, plan, out), out


@pytest.fixture(scope="module")
def model(table, tmp_path_factory):
    trained = train_table(
        table, "oversample", network={"epochs": 2, "batch_size": 16, "module": "convnet"}
    ).model
    place = tmp_path_factory.mktemp("fit") / "model"
    trained.save(place)
    return trained, place


# ------------------------------------------------------------------------------------------------ sources


def test_a_table_and_images_answer_the_same_questions(table, tmp_path):
    frame = pd.DataFrame({"a": np.arange(20.0) % 7, "y": ["x", "z"] * 10})
    asked = [name for name in vars(Source) if not name.startswith("_")]
    for source, folder_ in ((table, tmp_path / "i"), (make_table(frame, "y"), tmp_path / "t")):
        assert isinstance(source, (ImageTable, Table))
        for name in asked:
            assert hasattr(source, name), name
        assert str(len(source.target)) in source.described
        json.dumps(source.facts())
        folder_.mkdir()
        take, target, preprocessor = open_rows(*load_rows(source.write(folder_)))
        index = np.array([3, 1])
        np.testing.assert_array_equal(target, source.target)
        np.testing.assert_array_equal(np.asarray(take(index)), np.asarray(source.take(index)))
        assert type(preprocessor) is type(source.preprocessor())


def test_images_as_they_are_checked(table):
    assert table.classes == ("bar", "dot")
    assert table.positive == 1
    assert table.image_shape == (1, 8, 8)
    assert table.described == "52 images, 8x8, grey"
    assert table.findings == ()
    facts = table.facts()
    assert facts["image"] == [1, 8, 8]
    assert {k: len(v) for k, v in facts["samples"].items()} == {"bar": 3, "dot": 3}
    assert facts["samples"]["bar"][0].startswith("data:image/png;base64,")


def test_the_fingerprint_sees_one_pixel_and_one_label(table):
    pixels = table.pixels.copy()
    pixels[0, 0, 0, 0] ^= 1
    other = ImageTable(table.name, pixels, table.target, table.classes, table.positive)
    swapped = ImageTable(table.name, table.pixels, 1 - table.target, table.classes, table.positive)
    same = ImageTable("other name", table.pixels.copy(), table.target, table.classes, table.positive)
    assert len({t.fingerprint for t in (table, other, swapped)}) == 3
    assert same.fingerprint == table.fingerprint


def test_a_prepared_fold_holds_values_from_0_to_1(table, tmp_path):
    source = table.write(tmp_path)
    parts = {"fit": np.arange(0, 30), "validation": np.arange(30, 40), "test": np.arange(40, 52)}
    data = FoldData(tmp_path, 0, 0)
    prepare_fold(data, source, parts)
    X, y = data.load("fit")
    assert X.shape == (30, 1, 8, 8)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, table.pixels[:30] / 255, atol=1e-6)
    np.testing.assert_array_equal(y, table.target[:30])


def test_findings_of_images():
    pixels = np.random.default_rng(0).integers(0, 255, (60, 3, 4, 4), dtype=np.uint8)
    labels = np.repeat([0, 1], 30)
    pixels[1] = pixels[0]
    pixels[40] = pixels[2]
    pixels[50] = np.array([9, 8, 7]).reshape(3, 1, 1)
    names = tuple(f"{i}.{'jpg' if i < 30 else 'png'}" for i in range(60))
    sizes = np.repeat([[4, 4], [8, 8]], 30, axis=0)
    images = Images(pixels, labels, ("a", "b"), names, sizes, ("notes.txt",))
    found = check_images(images, encode_target(labels))
    assert [f.code for f in found] == ["MB007", "MB008", "MB012", "MB013", "MB014", "MB014"]
    text = " ".join(f.message for f in found)
    for part in (
        "1 of 60 images repeat",
        "2 of 60 images share",
        "'notes.txt'",
        "'50.png'",
        "the size of",
        "the type of",
    ):
        assert part in text
    mixed = Images(pixels, labels, ("a", "b"), names[::-1], sizes[np.arange(60) % 2 * 30], ())
    assert "size" not in " ".join(
        f.message for f in check_images(mixed, encode_target(labels)) if f.code == "MB014"
    )


def test_labels_are_needed_and_groups_may_be_given(folder):
    with pytest.raises(DataError, match="no classes"):
        make_images(read_images(folder, labelled=False))
    images = read_images(folder)
    grouped = make_images(images, groups=[name[-6:-4] for name in images.names], time=np.arange(52))
    assert len(set(grouped.groups)) == 40
    assert len(grouped.time) == 52
    assert make_images(images, positive="bar").positive == 0


# --------------------------------------------------------------------------------------------- a comparison


def test_recipes_and_baselines_are_compared(finished, tmp_path):
    made, out = finished
    assert made.failures == {}
    assert made.complete
    result = summarise(made, "metabalance compare photos")
    assert [r["fits"] for r in result["recipes"]] == [2, 2, 2, 2]
    assert result["data"]["image"] == [1, 8, 8]
    assert "columns" not in result["data"]
    assert "images" in result["advice"]["headline"] + " ".join(result["advice"]["details"])
    write_results(result, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "images of 8 × 8, grey" in page
    assert page.count("data:image/png;base64,") == 6
    assert "columns" not in page.split("</style>")[1].split("How to read this")[0].replace(
        "columns the predicted", ""
    )
    assert "samples" not in json.loads((tmp_path / "advice.json").read_text())["data"]
    assert not (out / "scratch").exists()


def test_the_run_goes_on_and_refuses_other_images(finished, table):
    made, out = finished
    seen = []
    run_comparison(table, made.plan, out, seen.append)
    assert [p.status for p in seen] == ["stored"]
    other = ImageTable(table.name, table.pixels[::-1], table.target, table.classes, table.positive)
    with pytest.raises(DataError, match="data fingerprint"):
        run_comparison(other, made.plan, out)


def test_equal_images_across_a_split_are_reported_and_kept_together_on_request(table, tmp_path):
    pixels = table.pixels.copy()
    pixels[0:40:2] = pixels[1:40:2]
    twins = ImageTable("twins", pixels, table.target, table.classes, table.positive)
    plan = Plan((Candidate("logistic"),), folds=2, seeds=1, network={"epochs": 1, "module": "mlp"})
    loose = run_comparison(twins, plan, tmp_path / "a")
    assert loose.duplicates["rows"] > 5
    details = " ".join(summarise(loose)["advice"]["details"])
    assert "test images" in details
    assert "an equal image in their training part" in details
    together = run_comparison(twins, Plan(**{**plan.__dict__, "dedupe": True}), tmp_path / "b")
    assert together.duplicates["rows"] == 0


def recipes():
    return [m.name for m in METHODS if m.recipe and "classes" in m.kinds]


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_runs_on_images_and_its_model_can_be_saved(name):
    refusal = ""
    try:
        candidate_of(name, (1, 8, 8), {"module": "convnet"})
    except DataError:
        raise
    except ValueError as error:
        refusal = str(error)
    # A recipe may say that images are not for it, in a sentence of its own.
    assert not refusal or "images" in refusal or "table" in refusal, refusal


@pytest.mark.parametrize("name", ["logistic", "lightgbm", "xgboost"])
def test_baselines_see_rows_of_pixels(name, table):
    X = table.preprocessor().transform(table.pixels)
    data = (X[::2], table.target[::2]), (X[1::2], table.target[1::2])
    flat = [(x.reshape(len(x), -1), y) for x, y in data]
    a = fit_candidate(Candidate(name), *data, 2, 0, Settings(network={"module": "convnet"}))
    b = fit_candidate(Candidate(name), *flat, 2, 0, Settings())
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X.reshape(len(X), -1)))
    assert name in BASELINES


def test_a_rehearsal_for_images_is_held_on_images():
    assert rehearse(Candidate("erm"), (3, 8, 8), {"module": "resnet32"})[0].image_shape_ == (3, 8, 8)
    with pytest.raises(ValueError, match="takes images"):
        rehearse(Candidate("erm"), None, {"module": "resnet32"})
    with pytest.raises(ValueError, match="erm cannot be trained with module='resnet99'"):
        rehearse(Candidate("erm", (("module", ("resnet99",)),)), (1, 8, 8))


# ----------------------------------------------------------------------------------------- a model that ships


def test_a_saved_model_gives_the_same_bits(model, table):
    trained, place = model
    loaded = TrainedModel.load(place)
    assert loaded.image_shape == (1, 8, 8)
    np.testing.assert_array_equal(loaded.predict_proba(table.pixels), trained.predict_proba(table.pixels))
    alone = np.vstack([loaded.predict_proba(table.pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, loaded.predict_proba(table.pixels)[:5], atol=1e-6)
    assert {p.name for p in place.iterdir()} == {
        "manifest.json",
        "weights.safetensors",
        "evidence.json",
        "reference.json",
    }
    with pytest.raises(DataError, match=r"\(3, 8, 8\), but \(1, 8, 8\)"):
        loaded.predict_proba(np.zeros((1, 3, 8, 8), dtype=np.uint8))


@pytest.mark.parametrize("recipe", ["logistic", "xgboost", "ldam", "lws", "tau_norm"])
def test_other_kinds_of_models_ship_too(recipe, table, tmp_path):
    trained = train_table(table, recipe, network={"module": "convnet", "epochs": 3}).model
    trained.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(table.pixels), trained.predict_proba(table.pixels))


def test_a_holdout_of_images(table):
    training = train_table(table, "logistic", holdout=0.3, network={"module": "convnet"})
    assert len(training.held_out) == 16
    assert 0 <= training.metrics["roc_auc"].value <= 1


# ------------------------------------------------------------------------------------------------- commands


def test_compare_fit_and_predict_from_a_folder(folder, tmp_path):
    done = run("compare", folder, "--recipes", "erm,logistic", "--folds", 2, "--seeds", 1, "--epochs", 1,
               "--network", "mlp", "--out", tmp_path / "run")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "52 images, 8x8, grey, class: bar 40, dot 12; positive: dot" in done.output
    assert (tmp_path / "run" / "report.html").exists()
    done = run("fit", folder, "--recipe", "oversample", "--epochs", 2, "--image-size", "6x8", "--augment", "--out",
               tmp_path / "model")  # fmt: skip
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())["content"]
    assert manifest["schema"] == {"image": [1, 6, 8]}
    assert manifest["network"]["architecture"] == "convnet"
    done = run("predict", tmp_path / "model", folder, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    assert "52 images were brought to 6x8" in done.output
    scored = pd.read_csv(tmp_path / "s.csv")
    assert list(scored.columns) == ["file", "probability_bar", "probability_dot", "decision"]
    assert scored["file"][0] == "bar/00.png"


def test_a_flat_folder_and_one_file_are_scored(model, folder, tmp_path):
    flat = tmp_path / "new"
    flat.mkdir()
    Image.open(folder / "bar" / "00.png").convert("RGB").resize((20, 20)).save(flat / "a.JPG", quality=95)
    Image.open(folder / "dot" / "00.png").save(flat / "b.png")
    (flat / "read.me").write_text("x")
    done = run("predict", model[1], flat, "--out", tmp_path / "s.parquet")
    assert done.exit_code == 0, done.output
    assert "1 image was brought to 8x8" in done.output
    assert "left out: read.me" in done.output
    scored = pd.read_parquet(tmp_path / "s.parquet")
    assert scored["file"].tolist() == ["a.JPG", "b.png"]
    assert run("predict", model[1], flat / "b.png", "--out", tmp_path / "one.csv").exit_code == 0
    one = pd.read_csv(tmp_path / "one.csv")
    np.testing.assert_allclose(one["probability_dot"], scored["probability_dot"][1:], atol=1e-6)


def test_broken_images_are_named_or_left_out(model, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "photos")
    (tmp_path / "photos" / "dot" / "99.png").write_bytes(b"no image")
    refused(
        run("compare", tmp_path / "photos", "--out", tmp_path / "r"),
        "1 of 53 files",
        "dot/99.png",
        "--skip-broken",
    )
    refused(run("predict", model[1], tmp_path / "photos", "--out", tmp_path / "s.csv"), "dot/99.png")
    assert not (tmp_path / "r").exists()
    done = run("predict", model[1], tmp_path / "photos", "--skip-broken", "--out", tmp_path / "s.csv")
    assert "left out: dot/99.png" in done.output
    assert len(pd.read_csv(tmp_path / "s.csv")) == 52


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--groups", "patient"], "--groups is for the columns of a table"),
        (["--drop", "a"], "--drop is for the columns of a table"),
        (["--image-size", "big"], "is no size"),
        (["--image-size", "0"], "is no size"),
        (["--network", "resnet99"], "convnet, resnet32"),
        (["--positive", "square"], "'square' is not a class"),
        (["--recipes", "erm(module=resnet99)"], "resnet99"),
    ],
)
def test_options_that_make_no_sense_for_images(arguments, said, folder, tmp_path):
    refused(run("compare", folder, "--out", tmp_path / "run", *arguments), said)
    assert not (tmp_path / "run").exists()


def test_options_that_make_no_sense_for_a_table(model, folder, tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": np.arange(40) % 7, "b": np.arange(40) % 5, "y": ["n", "n", "n", "p"] * 10}).to_csv(
        path, index=False
    )
    out = ["--out", tmp_path / "run"]
    refused(run("compare", path, *out), "missing option '--target'")
    refused(run("compare", path, "--target", "y", "--image-size", "8", *out), "--image-size is for images")
    refused(run("compare", path, "--target", "y", "--skip-broken", *out), "--skip-broken is for images")
    refused(
        run("compare", path, "--target", "y", "--network", "convnet", *out), "--network convnet is for images"
    )
    refused(run("compare", path, "--target", "y", "--augment", *out), "--augment is for images")
    refused(run("predict", model[1], path, "--out", tmp_path / "s.csv"), "trained on images")
    fit = run("fit", path, "--target", "y", "--recipe", "logistic", "--out", tmp_path / "tables")
    assert fit.exit_code == 0, fit.output
    refused(run("predict", tmp_path / "tables", folder, "--out", tmp_path / "s.csv"), "folder")
    refused(
        run("predict", tmp_path / "tables", path, "--skip-broken", "--out", tmp_path / "s.csv"), "for images"
    )


@pytest.mark.parametrize(
    ("text", "size"), [("64", (64, 64)), ("48x64", (48, 64)), (" 48 X 64 ", (48, 64)), (None, None)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_a_table_is_still_a_table(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 4 == 0)
    assert isinstance(load_data(tmp_path / "t.npz", "y", groups=None, time=None, keep=(), drop=()), Table)
    np.savez(tmp_path / "i.npz", X=np.random.default_rng(0).random((40, 5, 6)), y=np.arange(40) % 4 == 0)
    assert load_data(tmp_path / "i.npz", None).image_shape == (1, 5, 6)
