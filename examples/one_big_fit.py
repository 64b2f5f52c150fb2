"""One network trained by two processes at once is the network that one process trains."""

import numpy as np
from sklearn.datasets import make_classification

from metabalance import MetaBalanceClassifier

SETTINGS = {"epochs": 3, "batch_size": 128, "random_state": 0, "device": "cpu", "preprocess": None}


def main() -> None:
    X, y = make_classification(2_000, weights=[0.95], class_sep=1.5, random_state=0)

    # The batch is divided: 64 rows for each process. Samplers, class shares and look-aheads are those of the whole.
    together = MetaBalanceClassifier("metabalance", devices=2, **SETTINGS).fit(X, y)
    alone = MetaBalanceClassifier("metabalance", **SETTINGS).fit(X, y)
    apart = np.abs(together.predict_proba(X) - alone.predict_proba(X)).max()
    print(f"two processes and one: probabilities differ by {apart:.1e} at most")
    assert apart < 1e-3  # the last row of an odd number waits for the next pass

    # Where memory is short, the gradients of four batches make one update, as a batch of 128 rows would.
    small = SETTINGS | {"batch_size": 32}
    gathered = MetaBalanceClassifier("focal", accumulate=4, **small).fit(X, y)
    print(f"four batches an update: epoch {gathered.history_.best_epoch} was kept")

    # What does not go together is refused before training.
    try:
        MetaBalanceClassifier("metabalance", accumulate=4, **small).fit(X, y)
    except ValueError as error:
        print(error)


if __name__ == "__main__":  # the processes started above import this file
    main()
