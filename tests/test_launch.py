"""Fits in several processes: tests/test_strategies.py trains; here, what cannot be sent."""

import numpy as np
import pytest

from metabalance import MetaBalanceClassifier
from metabalance.launch import fit_in_processes


def test_what_cannot_be_sent_to_another_process_is_said():
    model = MetaBalanceClassifier("erm", module=lambda features, classes: None, devices=2, device="cpu")
    X, y = np.zeros((8, 2), dtype=np.float32), np.arange(8) % 2
    with pytest.raises(ValueError, match="something in them cannot be sent there"):
        fit_in_processes(model, 2, "cpu", (X, y), {})
