"""Progressive sampling, Remix and CutMix against numbers recorded from public code."""

import json
from pathlib import Path

import pytest
import torch

from metabalance.sample import ProgressiveSampler
from metabalance.sample.cutmix import patch
from metabalance.sample.remix import label_weight


def record(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def test_progressive_shares_are_classifier_balancing_s():
    sampler = ProgressiveSampler([0] * 60 + [1] * 5 + [2] * 12, epochs=5)
    for epoch, expected in enumerate(record("progressive")["expected"]):
        sampler.set_epoch(epoch)
        assert sampler.shares().tolist() == pytest.approx(expected, abs=1e-12)


def test_remix_label_weights_are_imbalanced_dl_s():
    recorded = record("remix")
    counts = torch.tensor(recorded["counts"], dtype=torch.float64)
    changed = 0
    for case in recorded["cases"]:
        own, partner = (counts[torch.tensor(case[name])] for name in ("own", "partner"))
        found = label_weight(case["lam"], own, partner)
        assert found.tolist() == pytest.approx(case["lam_y"], abs=1e-6)  # theirs are float32
        changed += int((found != case["lam"]).sum())
    assert changed > 20


def test_cutmix_patches_are_the_authors():
    for height, width, lam, row, column, *bounds in record("cutmix")["cases"]:
        rows, columns = patch(height, width, lam, row, column)
        assert [rows.start, rows.stop, columns.start, columns.stop] == bounds
