"""Fits in several processes: tests/test_strategies.py trains; here, what cannot be sent."""

import numpy as np
import pytest

from metabalance import MetaBalanceClassifier
from metabalance.launch import fit_in_processes


class Learner:
    """Learns more than a pipe holds, or fails."""

    def fit(self, size):
        if size < 0:
            raise ValueError("nothing can be learned of that")
        self.learned_ = np.arange(size)
        self.other = "not learned"
        return self


@pytest.mark.slow
def test_what_was_learned_comes_back_however_large():
    assert fit_in_processes(Learner(), 2, "cpu", (300_000,), {}).keys() == {"learned_"}


def test_a_failure_in_a_process_is_a_failure_here():
    with pytest.raises(ValueError, match=r"^nothing can be learned of that$"):
        fit_in_processes(Learner(), 2, "cpu", (-1,), {})


def test_what_cannot_be_sent_to_another_process_is_said():
    model = MetaBalanceClassifier("erm", module=lambda features, classes: None, devices=2, device="cpu")
    X, y = np.zeros((8, 2), dtype=np.float32), np.arange(8) % 2
    with pytest.raises(ValueError, match="something in them cannot be sent there"):
        fit_in_processes(model, 2, "cpu", (X, y), {})
