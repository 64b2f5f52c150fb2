"""The face recipe of MetaBalance: groups that differ in size, judged by one batch each, their losses summed.

A recogniser learns identities from unequal groups: all of one group's images, a tenth of the other's. Digits
stand in for faces (scikit-learn's; a digit is an identity): 0-4 is the large group, 5-9 the small one. As
published: CosFace logits with focal loss, look-aheads on the data as they come, M = 9, judged on one batch of
each group, and rank-1 identification by the nearest neighbour's identity.

On this stand-in the batches by group do the work; a look-ahead of the published size adds nothing to them.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from metabalance.optimize import PRESETS, MetaBalance

PRESET, UPDATES, SCALE, MARGIN, GAMMA = PRESETS["faces"], 60, 16.0, 0.35, 2.0


class CosineHead(nn.Linear):
    """Cosines between an embedding and each identity's direction; in the model, so that it is trained."""

    def forward(self, embedding: Tensor) -> Tensor:
        return F.linear(F.normalize(embedding), F.normalize(self.weight))


def cosface_focal(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Focal loss on CosFace logits: the true cosine must win by a margin (Wang et al., CVPR 2018)."""
    inputs, target = batch
    cosines = model(inputs)
    losses = F.cross_entropy(SCALE * (cosines - MARGIN * F.one_hot(target, 10)), target, reduction="none")
    return ((1 - torch.exp(-losses)) ** GAMMA * losses).mean()


def rank_one(embedding: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    """Share of images whose nearest other image has the same identity: large group, small group."""
    with torch.no_grad():
        similarity = F.normalize(embedding(x)) @ F.normalize(embedding(x)).T
    hit = (y[similarity.fill_diagonal_(-2).argmax(1)] == y).double()
    return [float(hit[group].mean()) for group in (y < 5, y >= 5)]


def train(seed: int, inner_lr: float, grouped: bool) -> list[float]:
    images, identity = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        torch.as_tensor(images / 16, dtype=torch.float32),
        torch.as_tensor(identity),
        random_state=seed,
        stratify=identity,
    )
    generator = torch.Generator().manual_seed(seed)
    keep = (y < 5) | (torch.rand(len(y), generator=generator) < 0.1)
    x, y = x[keep], y[keep]
    groups = [torch.nonzero(member).flatten() for member in (y < 5, y >= 5)]

    def draw(rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
        chosen = rows[torch.randint(len(rows), (size,), generator=generator)]
        return x[chosen], y[chosen]

    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), CosineHead(32, 10, bias=False))
    optimizer = torch.optim.SGD(
        model.parameters(), PRESET.lr, momentum=PRESET.momentum, weight_decay=PRESET.weight_decay
    )
    trainer = MetaBalance(
        model,
        cosface_focal,
        optimizer,
        inner_lr=inner_lr,
        accumulate=PRESET.accumulate,
        outer_reduction=PRESET.outer_reduction,
    )
    everyone = torch.arange(len(y))
    for _ in range(UPDATES * PRESET.accumulate):
        natural = draw(everyone, PRESET.inner_batch)
        judges = groups if grouped else [everyone, everyone]
        trainer.step(natural, [draw(rows, PRESET.outer_batch) for rows in judges])
    return rank_one(model[:-1], x_test, y_test)


if __name__ == "__main__":
    torch.set_num_threads(1)
    methods = {
        "plain": (0.0, False),
        "groups, no look-ahead": (0.0, True),
        "MetaBalance": (PRESET.inner_lr, True),
    }
    for name, (inner_lr, grouped) in methods.items():
        large, small = torch.tensor([train(seed, inner_lr, grouped) for seed in range(5)]).mean(0)
        print(f"{name:22s} rank-1 identification: large group {large:.3f}, small group {small:.3f}")
