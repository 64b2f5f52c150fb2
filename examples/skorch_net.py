"""A loss and a sampler in skorch, and so in scikit-learn's own grid search.

Runs in a few seconds: python examples/skorch_net.py
"""

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from metabalance.counts import class_counts
from metabalance.loss import LogitAdjustedLoss
from metabalance.sample import ClassBalancedSampler

X, y = make_classification(3000, 20, n_informative=6, weights=[0.95], class_sep=0.8, random_state=0)
X, y = X.astype(np.float32), y.astype(np.int64)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))


def net(**settings: object) -> NeuralNetClassifier:
    torch.manual_seed(0)
    shared = {"max_epochs": 20, "lr": 0.01, "optimizer": torch.optim.Adam, "batch_size": 64, "verbose": 0}
    return NeuralNetClassifier(network, train_split=None, **(shared | settings))


# A sampler belongs to one set of labels: give it with the rows it was made for.
sampler = ClassBalancedSampler(y, mode="random")
methods = {
    "cross-entropy": net(criterion=nn.CrossEntropyLoss, iterator_train__shuffle=True),
    "balanced batches": net(criterion=nn.CrossEntropyLoss, iterator_train__sampler=sampler),
    "logit-adjusted": net(
        criterion=LogitAdjustedLoss, criterion__counts=class_counts(y), iterator_train__shuffle=True
    ),
}
for name, model in methods.items():
    model.fit(X, y)
    print(f"{name:18} balanced accuracy {balanced_accuracy_score(y_test, model.predict(X_test)):.3f}")

search = GridSearchCV(
    methods["logit-adjusted"], {"criterion__tau": [0.0, 0.5, 1.0, 1.5]}, scoring="balanced_accuracy", cv=3
)
search.fit(X, y)
print(f"grid search over tau: {search.best_params_['criterion__tau']} at {search.best_score_:.3f} in 3 folds")
