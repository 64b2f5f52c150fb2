"""mixup, CutMix and Remix: identities and limits, twins in loops, and what holds for all three."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import FocalLoss, LDAMLoss
from metabalance.sample import CutMix, Mixup, Remix
from metabalance.sample.cutmix import patch
from metabalance.sample.mixup import beta_weight, mix, shares
from metabalance.sample.remix import label_weight

COUNTS = [90, 30, 10]
MAKE = {
    "Mixup": lambda **kw: Mixup(3, **kw),
    "CutMix": lambda **kw: CutMix(3, **kw),
    "Remix": lambda **kw: Remix(COUNTS, **kw),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(rows=12, dtype=torch.float64, seed=0):
    g = generator(seed)
    return torch.rand(rows, 2, 6, 5, generator=g, dtype=dtype), torch.randint(3, (rows,), generator=g)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shapes_dtypes_and_labels_that_are_shares(make, dtype):
    inputs, target = batch(dtype=dtype)
    x, y = make()(inputs, target, generator(1))
    assert (x.shape, x.dtype) == (inputs.shape, dtype)
    assert (y.shape, y.dtype) == ((12, 3), dtype)
    tolerance = 0.02 if dtype == torch.bfloat16 else 1e-6
    assert ((y.sum(1) - 1).abs() < tolerance).all()
    assert (y >= 0).all()
    assert ((y > 0).sum(1) <= 2).all()


@every
def test_all_randomness_is_the_generator_s(make):
    inputs, target = batch()
    before = torch.get_rng_state()
    first, again, other = (make()(inputs, target, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@every
def test_the_batch_itself_is_left_alone(make):
    inputs, target = batch()
    kept = inputs.clone(), target.clone()
    make()(inputs, target, generator(1))
    assert torch.equal(inputs, kept[0])
    assert torch.equal(target, kept[1])


@every
def test_alpha_zero_is_no_mixing(make):
    inputs, target = batch()
    x, y = make(alpha=0.0)(inputs, target, generator())
    assert torch.equal(x, inputs)
    assert torch.equal(y.argmax(1), target)
    assert (y.max(1).values == 1).all()


@pytest.mark.parametrize("name", ["Mixup", "Remix"])  # CutMix cuts even a whole image off at the border
def test_a_tiny_alpha_gives_whole_examples(name):
    inputs, target = batch()
    for seed in range(20):
        _, y = MAKE[name](alpha=1e-6)(inputs, target, generator(seed))
        assert (y.max(1).values > 1 - 1e-6).all()


@every
def test_labels_may_be_mixed_already_and_weighted(make):
    """Mixing is linear in the label: one that carries a weight keeps it."""
    inputs, target = batch()
    weight = torch.rand(12, 1, dtype=torch.float64, generator=generator(5)) + 0.5
    hard, soft = F.one_hot(target, 3).double(), F.one_hot(target, 3).double() * weight
    for seed in range(5):
        plain = make()(inputs, target, generator(seed))
        assert torch.equal(make()(inputs, hard, generator(seed))[1], plain[1])
        assert not torch.equal(make()(inputs, soft, generator(seed))[1], plain[1])
        same = make()(inputs, hard * 2, generator(seed))
        torch.testing.assert_close(same[1], plain[1] * 2)


@every
@pytest.mark.parametrize("target", [torch.tensor([2]), torch.tensor([1, 1, 1, 1])])
def test_one_row_and_one_class(make, target):
    inputs = torch.rand(len(target), 2, 6, 5)
    _, y = make()(inputs, target, generator(1))
    torch.testing.assert_close(y, F.one_hot(target, 3).float())


@every
@pytest.mark.parametrize("alpha", [-0.1, float("inf"), float("nan")])
def test_bad_alpha(make, alpha):
    with pytest.raises(ValueError, match="alpha must be a finite number, at least 0"):
        make(alpha=alpha)


@every
def test_many_classes(make):
    transform = {"Mixup": Mixup(1000), "CutMix": CutMix(1000), "Remix": Remix([1.0] * 1000)}
    name = type(make()).__name__
    _, y = transform[name](torch.rand(4, 1, 4, 4), torch.tensor([0, 999, 5, 5]), generator())
    assert y.shape == (4, 1000)


def test_mixup_twin():
    inputs, target = batch()
    x, y = Mixup(3, alpha=2.0)(inputs, target, generator(7))
    g = generator(7)
    lam = np.random.default_rng(int(torch.randint(2**62, (1,), generator=g))).beta(2.0, 2.0)
    partner = torch.randperm(12, generator=g).tolist()
    assert 0.01 < lam < 0.99
    for i, j in enumerate(partner):
        for c in range(3):
            share = lam * float(target[i] == c) + (1 - lam) * float(target[j] == c)
            assert float(y[i, c]) == pytest.approx(share)
        expected = lam * inputs[i].numpy() + (1 - lam) * inputs[j].numpy()
        np.testing.assert_allclose(x[i], expected)


def test_cross_entropy_of_the_mixed_label_is_the_two_term_loss():
    inputs, target = batch()
    logits = torch.randn(12, 3, dtype=torch.float64, generator=generator(2))
    partner, lam = torch.randperm(12, generator=generator(3)), 0.3
    soft = F.cross_entropy(logits, mix(shares(target, 3, inputs), partner, lam))
    two = lam * F.cross_entropy(logits, target) + (1 - lam) * F.cross_entropy(logits, target[partner])
    torch.testing.assert_close(soft, two)


@pytest.mark.parametrize("loss", [FocalLoss(2.0), LDAMLoss(COUNTS)], ids=["focal", "ldam"])
def test_other_losses_take_the_two_term_form_too(loss):
    inputs, target = batch()
    logits = torch.rand(12, 3, dtype=torch.float64, generator=generator(2)) - 0.5
    partner = torch.randperm(12, generator=generator(3))
    soft = loss(logits, mix(shares(target, 3, inputs), partner, 0.3))
    torch.testing.assert_close(soft, 0.3 * loss(logits, target) + 0.7 * loss(logits, target[partner]))


def test_beta_weights_follow_the_distribution():
    for alpha in (0.2, 1.0, 4.0):
        g = generator()
        drawn = np.array([beta_weight(alpha, g) for _ in range(2000)])
        assert abs(drawn.mean() - 0.5) < 4 * drawn.std() / np.sqrt(2000)
        assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_cutmix_twin():
    inputs, target = batch()
    changed = 0
    for seed in range(20):
        x, y = CutMix(3)(inputs, target, generator(seed))
        taken = (x != inputs).any(1)  # (B, H, W): random pixels differ wherever another image was pasted
        for i in range(12):
            area = float(taken[i].double().mean())
            if not area:
                continue
            rows, columns = torch.nonzero(taken[i].any(1)), torch.nonzero(taken[i].any(0))
            box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            assert int(box) == int(taken[i].sum()), "the patch is one rectangle"
            source = [j for j in range(12) if torch.equal(x[i][:, taken[i]], inputs[j][:, taken[i]])]
            assert len(source) == 1
            expected = torch.zeros(3, dtype=torch.float64)
            expected[target[i]] += 1 - area
            expected[target[source[0]]] += area
            torch.testing.assert_close(y[i], expected)
            changed += 1
    assert changed > 50


def test_patch_twin():
    for lam in (0.0, 0.1, 0.5, 0.9, 1.0):
        for r in range(6):
            for c in range(5):
                rows, columns = patch(6, 5, lam, r, c)
                h, w = int(6 * (1 - lam) ** 0.5), int(5 * (1 - lam) ** 0.5)
                assert [i for i in range(6) if r - h // 2 <= i < r + h // 2] == list(range(6))[rows]
                assert [i for i in range(5) if c - w // 2 <= i < c + w // 2] == list(range(5))[columns]


def test_cutmix_probability():
    inputs, target = batch()
    x, y = CutMix(3, probability=0.0)(inputs, target, generator())
    assert x is inputs
    assert torch.equal(y, F.one_hot(target, 3).double())
    cut = sum(
        CutMix(3, probability=0.3)(inputs, target, generator(seed))[0] is not inputs for seed in range(300)
    )
    assert abs(cut - 90) < 4 * (300 * 0.3 * 0.7) ** 0.5
    with pytest.raises(ValueError, match=r"probability must lie between 0 and 1, but 1\.5"):
        CutMix(3, probability=1.5)


def test_cutmix_needs_images():
    with pytest.raises(ValueError, match=r"pastes patches of images .*\(12, 4\); use Mixup"):
        CutMix(3)(torch.rand(12, 4), torch.zeros(12, dtype=torch.long), generator())


@pytest.mark.parametrize(
    "settings",
    [{"kappa": float("inf")}, {"tau": 0.0}, {"counts": [20, 20, 20]}, {"counts": [20, 10, 10]}],
    ids=str,
)
def test_remix_limits_are_mixup(settings):
    inputs, target = batch()
    for seed in range(10):
        x, y = Remix(**{"counts": COUNTS} | settings)(inputs, target, generator(seed))
        plain_x, plain_y = Mixup(3)(inputs, target, generator(seed))
        assert torch.equal(x, plain_x)
        torch.testing.assert_close(y, plain_y)


def test_remix_mixes_inputs_as_mixup_and_moves_labels_only_to_the_rarer():
    inputs, target = batch(rows=60)
    moved, mass = 0, torch.zeros(2, 3, dtype=torch.float64)
    for seed in range(20):
        x, y = Remix(COUNTS)(inputs, target, generator(seed))
        plain_x, plain_y = Mixup(3)(inputs, target, generator(seed))
        assert torch.equal(x, plain_x)
        mass += torch.stack([y.sum(0), plain_y.sum(0)])
        rows = torch.nonzero((y - plain_y).abs().sum(1) > 1e-12).reshape(-1)
        for i in rows:
            gains, loses = (y - plain_y)[i].argmax(), (y - plain_y)[i].argmin()
            assert COUNTS[loses] >= 3 * COUNTS[gains]
            assert float(y[i, gains]) == 1
        moved += len(rows)
    assert moved > 100
    assert mass[0, 2] > mass[1, 2]
    assert mass[0, 0] < mass[1, 0]


def test_label_weight_twin():
    kappa, tau = 3, 0.5
    for lam in (0.1, 0.49, 0.5, 0.51, 0.9):
        for n_i in (10, 29, 30, 90):
            for n_j in (10, 29, 30, 90):
                if n_i / n_j >= kappa and lam < tau:
                    expected = 0.0
                elif n_i / n_j <= 1 / kappa and 1 - lam < tau:
                    expected = 1.0
                else:
                    expected = lam
                found = label_weight(
                    lam, *(torch.tensor([float(n)], dtype=torch.float64) for n in (n_i, n_j))
                )
                assert float(found) == expected


@pytest.mark.parametrize(
    ("settings", "message"), [({"kappa": 1.0}, "kappa must be above 1"), ({"tau": 1.5}, "tau must")]
)
def test_bad_remix(settings, message):
    with pytest.raises(ValueError, match=message):
        Remix(COUNTS, **settings)
