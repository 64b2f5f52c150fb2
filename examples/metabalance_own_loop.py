"""MetaBalance in your own training loop: two loaders, one call.

Find the eights among scikit-learn's handwritten digits, when only 15 of 900 training images are eights. The
look-ahead sees the data as they come, its judge sees as many eights as others. Prints the average precision
of plain training, of over-sampling and of MetaBalance on held-out images, means over three seeds.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from metabalance.optimize import MetaBalance

EPOCHS, POSITIVES, NEGATIVES = 15, 15, 885


def data(seed: int) -> tuple[TensorDataset, Tensor, Tensor]:
    images, digits = load_digits(return_X_y=True)
    x, y = torch.as_tensor(images / 16, dtype=torch.float32), torch.as_tensor(digits == 8).long()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    rows = torch.cat(
        [torch.nonzero(y == 1).flatten()[:POSITIVES], torch.nonzero(y == 0).flatten()[:NEGATIVES]]
    )
    rest = torch.ones(len(y), dtype=torch.bool)
    rest[rows] = False
    return TensorDataset(x[rows], y[rows]), x[rest], y[rest]


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, target = batch
    return F.cross_entropy(model(inputs), target)


def train(seed: int, method: str) -> float:
    train_set, x_test, y_test = data(seed)
    torch.manual_seed(seed)
    y = train_set.tensors[1]
    weight = 1 / torch.bincount(y).double()[y]
    natural = DataLoader(train_set, batch_size=30, shuffle=True)
    balanced = DataLoader(train_set, batch_size=30, sampler=WeightedRandomSampler(weight, len(y)))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    # Without a look-ahead (inner_lr=0) MetaBalance is plain training on the outer stream.
    settings = {"inner_lr": 0.1, "leak": 0.02, "order": 2} if method == "MetaBalance" else {"inner_lr": 0.0}
    trainer = MetaBalance(model, loss, optimizer, **settings)
    outer = natural if method == "plain" else balanced
    for _ in range(EPOCHS):
        for inner_batch, outer_batch in zip(natural, outer):
            trainer.step(inner_batch, outer_batch)
    with torch.no_grad():
        return float(average_precision_score(y_test, model(x_test).softmax(1)[:, 1]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for method in ("plain", "over-sampling", "MetaBalance"):
        values = torch.tensor([train(seed, method) for seed in range(3)])
        print(f"{method:15s} average precision {values.mean():.3f} (sd {values.std():.3f})")
