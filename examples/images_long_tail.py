"""Images from Python: a long tail with wrong labels, its rows stored, a model trained on it, saved and used."""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from metabalance.data.images import Images
from metabalance.data.imbalance import long_tail
from metabalance.data.noise import symmetric_noise
from metabalance.data.pixels import image_hashes, to_pixels
from metabalance.data.subsets import load_subset, save_subset
from metabalance.study.load import make_images
from metabalance.study.ship import TrainedModel
from metabalance.study.train import train_table


def main(folder: Path) -> None:
    digits = load_digits()
    pixels = to_pixels(digits.images / 16, "digits")
    hashes = image_hashes(pixels)

    # 100 images of 0, down to 10 of 9; a tenth of each class is called something else.
    rows = long_tail(digits.target, ratio=10, n_max=100)
    save_subset(folder / "tail.json", rows, digits.target, rows=hashes, made={"long_tail": {"ratio": 10}})
    rows = load_subset(folder / "tail.json", digits.target, rows=hashes)
    labels, wrong = symmetric_noise(digits.target[rows], rate=0.1)
    print("class sizes:", np.bincount(labels).tolist(), "wrong labels:", int(wrong.sum()))

    sizes = np.tile(pixels.shape[2:], (len(rows), 1))
    images = Images(pixels[rows], labels, tuple(range(10)), tuple(map(str, rows)), sizes)
    table = make_images(images, name="digits")
    for finding in table.findings:
        print(finding.code, finding.message)

    training = train_table(table, "logit_adjustment", network={"module": "convnet", "epochs": 8})
    training.model.save(folder / "model")

    model = TrainedModel.load(folder / "model")
    unseen = np.setdiff1d(np.arange(len(pixels)), rows)
    decided = model.decide(model.predict_proba(pixels[unseen]))
    recall = [(decided[digits.target[unseen] == c] == c).mean() for c in range(10)]
    print("recall of each digit, by its true label:", np.round(recall, 2).tolist())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
