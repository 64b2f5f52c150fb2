"""Feature distribution smoothing: identities, loops from the paper, and the faults that are not here."""

import pytest
import torch

from metabalance.densities import smoothing_kernel
from metabalance.represent import FeatureDistributionSmoothing as FDS


def batch(rows=60, dim=3, bins=6, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    b = torch.randint(bins, (rows,), generator=g)
    return torch.randn(rows, dim, generator=g, dtype=dtype) * (1 + b[:, None]) + b[:, None], b


def shown(fds, *parts):
    for z, b in parts:
        fds.collect(z, b)
    fds.update()
    return fds


def twin(epochs, z, b, bins, size, momentum, clip):
    """Yang et al. in loops, bins without rows left out; all bins seen in the first epoch, or never."""
    kernel = smoothing_kernel("triang", size).tolist()
    half = size // 2
    mean, var = {}, {}
    for features, index in epochs:
        for k in range(bins):
            rows = features[index == k].double()
            if not len(rows):
                continue
            m, v = rows.mean(0), rows.var(0) if len(rows) > 1 else torch.zeros(rows.shape[1]).double()
            mean[k] = (1 - momentum) * m + momentum * mean[k] if k in mean else m
            var[k] = (1 - momentum) * v + momentum * var[k] if k in var else v
    out = []
    for row, k in zip(z.double(), b.tolist()):
        if k not in mean:
            out.append(row)
            continue
        total, m, v = 0.0, 0.0, 0.0
        for j in range(-half, half + 1):
            at = k + j
            at = -at if at < 0 else 2 * (bins - 1) - at if at >= bins else at
            if at in mean:
                total, m, v = (
                    total + kernel[j + half],
                    m + kernel[j + half] * mean[at],
                    v + kernel[j + half] * var[at],
                )
        m, v = m / total, v / total
        new = row.clone()
        for d in range(len(row)):
            if var[k][d] > 0:
                ratio = min(max(float(v[d] / var[k][d]), clip[0]), clip[1])
                new[d] = (row[d] - mean[k][d]) * ratio**0.5 + m[d]
        out.append(new)
    return torch.stack(out)


@pytest.mark.parametrize("clip", [(0.1, 10.0), (0.9, 1.1)])
@pytest.mark.parametrize("missing", [False, True])
def test_in_loops(clip, missing):
    epochs = [batch(seed=s) for s in range(3)]
    if missing:
        epochs = [(z[b != 2], b[b != 2]) for z, b in epochs]
    fds = FDS(3, 6, "triang", 5, momentum=0.8, clip=clip)
    for z, b in epochs:
        shown(fds, (z[:20], b[:20]), (z[20:], b[20:]))
    z, b = batch(seed=9)
    found = fds(z, b)
    torch.testing.assert_close(found, twin(epochs, z, b, 6, 5, 0.8, clip).float(), atol=2e-5, rtol=1e-4)
    assert not torch.equal(found, z)
    if missing:
        assert torch.equal(found[b == 2], z[b == 2])


@pytest.mark.parametrize("dim", [1, 4])
def test_what_changes_nothing(dim):
    z, b = batch(dim=dim)
    same = shown(FDS(dim, 6, kernel_size=1), (z, b))
    torch.testing.assert_close(same(z, b), z)
    equal = torch.cat([z[:10]] * 6), torch.arange(6).repeat_interleave(10)
    torch.testing.assert_close(shown(FDS(dim, 6), equal)(*equal), equal[0], atol=1e-5, rtol=1e-5)
    fds = shown(FDS(dim, 6), (z, b))
    assert not torch.equal(fds(z, b), z)
    assert torch.equal(fds.eval()(z, b), z)
    assert torch.equal(FDS(dim, 6)(z, b), z)  # nothing shown so far


def test_it_starts_when_it_is_told_to():
    z, b = batch()
    fds = FDS(3, 6, start=2)
    assert torch.equal(shown(fds, (z, b))(z, b), z)
    assert not torch.equal(shown(fds, (z, b))(z, b), z)


def test_the_statistics_removed_and_restored_are_of_one_epoch():
    """The published alias would remove the new epoch's mean and restore the old one's."""
    z, b = batch()
    fds = shown(FDS(3, 6, momentum=0.0), (z, b))
    shown(fds, (z + 100, b))
    # Shifted by a constant, all means are; so the re-coloured rows are those of before, shifted.
    torch.testing.assert_close(fds(z + 100, b), shown(FDS(3, 6), (z, b))(z, b) + 100, atol=1e-3, rtol=1e-5)


def test_batches_or_one_pass_and_any_dimension_without_variance():
    z, b = batch(200)
    z[:, 1] = 7.0
    one, many = FDS(3, 6), FDS(3, 6)
    shown(one, (z, b))
    shown(many, *zip(z.split(7), b.split(7)))
    torch.testing.assert_close(one.running_var, many.running_var, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one(z, b), many(z, b), atol=1e-4, rtol=1e-4)
    assert torch.equal(one(z, b)[:, 1], z[:, 1])
    assert not torch.equal(one(z, b)[:, 0], z[:, 0])


def test_a_large_mean_does_not_cancel_the_variance():
    z, b = batch(300)
    one, two = shown(FDS(3, 6), (z, b)), shown(FDS(3, 6), *zip((z + 1e4).split(50), b.split(50)))
    torch.testing.assert_close(one.running_var, two.running_var, rtol=1e-2, atol=1e-2)


def test_inputs_are_left_alone_and_gradients_scaled():
    z, b = batch()
    kept = z.clone()
    fds = shown(FDS(3, 6), (z, b))
    z.requires_grad_()
    fds(z, b).sum().backward()
    assert torch.equal(z.detach(), kept)
    ratio = (fds.smoothed_var / fds.running_var)[b].clamp(0.1, 10).sqrt()
    torch.testing.assert_close(z.grad, ratio)
    low = z.detach()[:5].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: fds.double()(f, b[:5]), low)


def test_state_compile_empty_updates_and_half_precision():
    z, b = batch()
    fds = shown(FDS(3, 6), (z, b))
    other = FDS(3, 6)
    other.load_state_dict(fds.state_dict())
    assert torch.equal(other(z, b), fds(z, b))
    torch.testing.assert_close(torch.compile(fds, backend="aot_eager", fullgraph=True)(z, b), fds(z, b))
    assert fds(z.bfloat16(), b).dtype == torch.bfloat16
    before = fds.running_mean.clone()
    fds.update(anything="else")  # nothing collected: nothing changes
    assert torch.equal(fds.running_mean, before)
    assert int(fds.updates) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FDS(2, 2), "needs more than 2 bins"),
        (lambda: FDS(2, 9, momentum=1.0), "momentum must lie"),
        (lambda: FDS(2, 9, start=0), "start be at least 1"),
        (lambda: FDS(2, 9, clip=(2.0, 3.0)), "clip hold 1"),
        (lambda: FDS(2, 9)(torch.zeros(3, 4), torch.zeros(3).long()), r"features must be \(B, 2\)"),
        (lambda: FDS(2, 9)(torch.zeros(3, 2), torch.zeros(3)), "bins are whole numbers"),
        (lambda: FDS(2, 9).collect(torch.zeros(1, 2), torch.tensor([9])), "between 0 and 8"),
        (lambda: FDS(2, 9)(torch.zeros(1, 2), torch.tensor([-1])), "between 0 and 8"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
