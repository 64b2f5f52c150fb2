"""Numbers recorded from the authors' own code; the files say from which, at which commit, and how."""

import json
import math
from pathlib import Path

import pytest
import torch

from metabalance.loss import (
    ARBLoss,
    BalancedSoftmaxLoss,
    CDBLoss,
    ClassBalancedLoss,
    CosineLinear,
    DiceLoss,
    FocalLoss,
    LabelAwareSmoothingLoss,
    LDAMLoss,
)
from metabalance.loss.label_aware_smoothing import SHAPES

HERE = Path(__file__).parent


def record(name):
    return json.loads((HERE / f"{name}.json").read_text())


def inputs(seed, rows, classes, scale=1.0, **_):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=g), torch.randint(classes, (rows,), generator=g)


def gradient_of_row_0(loss, logits, target):
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    return logits.grad[0]


def close(ours, theirs, rtol=2e-5, atol=2e-6):
    torch.testing.assert_close(ours, torch.as_tensor(theirs, dtype=ours.dtype), rtol=rtol, atol=atol)


def test_ldam():
    theirs = record("ldam")
    cosines, target = inputs(**theirs["cosines"])
    cosines = cosines.clamp(-1, 1)
    loss = LDAMLoss(theirs["counts"])
    close(loss.margin, theirs["margins"])
    close(LDAMLoss(theirs["counts"], reduction="none")(cosines, target), theirs["rows"])
    close(loss(cosines, target), theirs["mean"])
    close(gradient_of_row_0(loss, cosines, target), theirs["gradient_of_row_0"])


def test_ldam_reweighted_is_theirs_but_for_the_divisor():
    """Their mean divides by the batch's summed weights, ours by its examples."""
    theirs = record("ldam")
    cosines, target = inputs(**theirs["cosines"])
    weight = ClassBalancedLoss(theirs["counts"], beta=0.9999).weight
    close(weight, theirs["drw_weights"])
    loss = LDAMLoss(theirs["counts"], weight=weight, reduction="sum")(cosines.clamp(-1, 1), target)
    close(loss / weight[target].sum(), theirs["drw_mean_over_summed_weights"])


def test_cosine_head():
    theirs = record("ldam")["normed_linear"]
    g = torch.Generator().manual_seed(theirs["seed"])
    columns, features = torch.randn(6, 4, generator=g), torch.randn(5, 6, generator=g)
    head = CosineLinear(6, 4)
    head.load_state_dict({"weight": columns.T})
    close(head(features).reshape(-1), theirs["cosines"])


def test_ldam_repository_focal_without_weights():
    theirs = record("ldam")["focal"]
    close(FocalLoss(theirs["gamma"])(*inputs(**theirs)), theirs["unweighted_mean"])


def test_ldam_repository_focal_with_weights_is_another_function():
    """They form p from the weighted cross-entropy, p_y to the power w_y; ours keeps p, see the focal tests."""
    ldam, theirs = record("ldam"), record("ldam")["focal"]
    logits, target = inputs(**theirs)
    weight = torch.tensor(ldam["drw_weights"])
    weighted = weight[target] * torch.nn.functional.cross_entropy(logits, target, reduction="none")
    close(((1 - torch.exp(-weighted)) * weighted).mean(), theirs["weighted_mean"])
    ours = FocalLoss(theirs["gamma"], weight)(logits, target)
    assert abs(ours.item() - theirs["weighted_mean"]) > 0.01


def test_arb():
    theirs = record("arb")
    logits, target = inputs(**theirs["inputs"])
    close(ARBLoss(reduction="none")(logits, target), theirs["batch_rows"])
    close(ARBLoss()(logits, target), theirs["batch_mean"])
    close(ARBLoss(reduction="sum")(logits, target), theirs["batch_sum"])
    close(gradient_of_row_0(ARBLoss(), logits, target), theirs["gradient_of_row_0"])
    for loss in (ARBLoss, BalancedSoftmaxLoss):
        close(loss(theirs["global_counts"], reduction="none")(logits, target), theirs["global_rows"])


def test_arb_clamped():
    theirs = record("arb")
    logits, target = inputs(**theirs["inputs"])
    logits = (logits * theirs["clamped"]["factor"]).requires_grad_()
    counts = theirs["global_counts"]
    clamped = ARBLoss(counts, clamp=30, reduction="none")
    close(clamped(logits, target), theirs["clamped"]["global_rows"])
    clamped(logits, target).sum().backward()
    assert (logits.grad == 0).sum() >= (logits.abs() > 30).sum() > 0
    free = ARBLoss(counts, reduction="none")(logits, target)
    assert not torch.allclose(free, torch.tensor(theirs["clamped"]["global_rows"]))


def test_arb_of_mixed_labels():
    theirs = record("arb")
    logits, target = inputs(**theirs["inputs"])
    lam, one_hot = theirs["mixup"]["lam"], torch.nn.functional.one_hot(target, 5).float()
    close(ARBLoss()(logits, lam * one_hot + (1 - lam) * one_hot.flip(0)), theirs["mixup"]["mean"])


@pytest.mark.parametrize("tau", ["dynamic", "0.5", "1.5"])
def test_cdb(tau):
    theirs = record("cdb")
    logits, target = inputs(**theirs["inputs"])
    power = tau if tau == "dynamic" else float(tau)
    coded = CDBLoss(4, "dynamic_coded" if tau == "dynamic" else power, reduction="none")
    coded.update(recall=theirs["recall"])
    close(coded.weight, theirs["coded_cifar"][tau]["weights"])
    close(coded(logits, target), theirs["coded_cifar"][tau]["rows"])
    intended = CDBLoss(4, power, reduction="sum")
    intended.update(recall=theirs["recall"])
    close(intended.weight, theirs["helper"][tau])
    # The ImageNet-LT mean divides by the batch's summed weights.
    close(
        intended(logits, target) / intended.weight[target].sum(),
        theirs["imagenet_mean_over_summed_weights"][tau],
    )


def test_dice_of_several_classes():
    theirs = record("dice")
    logits, target = inputs(**theirs["inputs"])
    assert len(theirs["square"]) == 6
    for case in theirs["square"].values():
        settings = {"alpha": case["alpha"], "smooth": case["smooth"]}
        close(DiceLoss(**settings, reduction="none")(logits, target), case["rows"])
        close(gradient_of_row_0(DiceLoss(**settings), logits, target), case["gradient_of_row_0"])


def test_dice_without_the_square_is_theirs_with_a_denominator_of_the_batch():
    """Their numerator is of an example, their denominator of the batch: every row near the number of classes."""
    theirs = record("dice")["without_square"]
    logits, target = inputs(**record("dice")["inputs"])
    p, y = logits.softmax(1), torch.nn.functional.one_hot(target, 4)
    close((1 - (2 * p * y + 1) / ((p + y).sum(0) + 1)).sum(1), theirs["rows"])
    assert (DiceLoss(square=False, reduction="none")(logits, target) < 2).all()
    assert min(theirs["rows"]) > 3


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_dice_of_one_logit_is_that_of_the_positive_class_over_the_batch(square, alpha):
    theirs = record("dice")["one_logit"]
    logits, _ = inputs(theirs["seed"], theirs["rows"], 2, 2.0)
    loss = DiceLoss("class", square, 1.0, alpha, classes=[1])
    close(loss(logits, (torch.arange(40) % 8 == 0).long()), theirs[f"square {square} alpha {alpha}"])


def test_hard_negatives_of_theirs_are_two_too_few():
    """With 5 positives a ratio of 1 is to keep 5 negatives; theirs keeps those that ours keeps for 3."""
    theirs = record("dice")["one_logit"]
    logits, _ = inputs(theirs["seed"], theirs["rows"], 2, 2.0)
    target = (torch.arange(40) % 8 == 0).long()
    for ratio in (1.0, 1.4):
        ours, less = (
            DiceLoss("class", ohem_ratio=r, classes=[1])(logits, target) for r in (ratio, ratio - 0.4)
        )
        close(less, theirs[f"ohem {ratio}, square"])
        assert ours > less


def test_dice_gradient_where_theirs_is_nan():
    assert record("dice")["gradient_at_certainty"] == ["nan", "-inf"]
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    DiceLoss(alpha=0.01)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad != 0).all()


def test_mining_of_several_classes_raises_in_theirs():
    assert record("dice")["ohem_of_several_classes"].startswith("NotImplementedError")
    logits, target = inputs(0, 32, 4, 2.0)
    assert torch.isfinite(DiceLoss(ohem_ratio=1.0)(logits, target))


def test_balanced_softmax():
    theirs = record("balanced_softmax")
    logits, target = inputs(**theirs["inputs"])
    for reduction, name in (("none", "rows"), ("mean", "mean"), ("sum", "sum")):
        loss = BalancedSoftmaxLoss(theirs["counts"], reduction=reduction)
        close(loss(logits, target), theirs[name])
    loss = BalancedSoftmaxLoss(theirs["counts"])
    close(gradient_of_row_0(loss, logits, target), theirs["gradient_of_row_0"])


@pytest.mark.parametrize("shape", SHAPES)
def test_label_aware_smoothing(shape):
    record_ = record("label_aware_smoothing")
    logits, target = inputs(**record_["inputs"])
    theirs = record_["shapes"][shape]
    loss = LabelAwareSmoothingLoss(record_["counts"], 0.4, 0.1, shape, theirs["power"] or 1.0, "none")
    close(loss.epsilon, theirs["smooth"])
    close(loss(logits, target), theirs["rows"])
    close(loss(logits, target).mean(), theirs["mean"])


def test_label_aware_smoothing_of_equal_counts_is_nan_in_theirs():
    assert all(math.isnan(float(v)) for v in record("label_aware_smoothing")["equal_counts"])
    close(LabelAwareSmoothingLoss([7, 7, 7], 0.4, 0.1).epsilon, [0.4, 0.4, 0.4])


def test_class_balanced_focal_of_sigmoids():
    theirs = record("class_balanced")
    logits, target = inputs(**theirs["inputs"])
    assert len(theirs["cases"]) == 12
    for case in theirs["cases"]:
        loss = ClassBalancedLoss(theirs["counts"], case["beta"], case["gamma"], "sigmoid")
        close(loss.weight, case["weights"])
        close(loss(logits, target), case["loss"])
        close(gradient_of_row_0(loss, logits, target), case["gradient_of_row_0"])


def test_class_balanced_focal_far_from_the_truth_is_zero_in_theirs():
    theirs = record("class_balanced")["at_minus_100"]
    assert theirs == {"loss": "0.0", "gradient": ["nan", "nan"]}
    logits = torch.full((1, 2), -100.0, requires_grad=True)
    loss = FocalLoss(2.0, activation="sigmoid")(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(100)
    assert torch.isfinite(logits.grad).all()
