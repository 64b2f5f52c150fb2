"""A replayed pass gives what a full forward-mode pass gives, whatever became of the recording."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from metabalance.forward_mode import Recording, Replaying


def tangent_of(model: nn.Module, x: Tensor, recording: Recording | None = None) -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    directions = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    with forward_ad.dual_level(), torch.no_grad():
        dual = {n: forward_ad.make_dual(p.detach(), directions[n]) for n, p in model.named_parameters()}
        if recording is None:
            out = functional_call(model, dual, (x,))
        else:
            with Replaying(recording):
                out = functional_call(model, dual, (x,))
        value, tangent = forward_ad.unpack_dual(out)
        return value.clone(), tangent.clone()


def net(inplace: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(4, 3, 3, stride=2),
        nn.ReLU(inplace=inplace),
        nn.Flatten(),
        nn.Linear(27, 5),
        nn.BatchNorm1d(5, track_running_stats=False),
        nn.Linear(5, 3),
    )


X = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_replaying_is_forward_mode(inplace: bool, dtype: torch.dtype, tolerance: float) -> None:
    model, x = net(inplace).to(dtype), X.to(dtype)
    with Recording() as recording:
        model(x)
    assert len(recording.kept) == 6
    for actual, expected in zip(tangent_of(model, x, recording), tangent_of(model, x)):
        torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_memory_formats(layout: torch.memory_format) -> None:
    model, x = net().double().to(memory_format=layout), X.double().to(memory_format=layout)
    with Recording() as recording:
        model(x)
    torch.testing.assert_close(tangent_of(model, x, recording), tangent_of(model, x))


def test_the_batch_norm_recorded_is_the_usual_one() -> None:
    """Result, gradients and running statistics, momentum None included."""
    for momentum in (0.1, None):
        torch.manual_seed(0)
        layers = [nn.BatchNorm2d(2, momentum=momentum) for _ in range(2)]
        x = [X.clone().requires_grad_() for _ in range(2)]
        for _ in range(2):
            with Recording():
                (layers[0](x[0]) ** 3).sum().backward()
            (layers[1](x[1]) ** 3).sum().backward()
        torch.testing.assert_close(x[0].grad, x[1].grad)
        torch.testing.assert_close(layers[0].state_dict(), layers[1].state_dict())
    with Recording(), pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm1d(3)(torch.ones(1, 3))


def test_a_recording_of_something_else_is_not_used() -> None:
    model = net().double()
    expected = tangent_of(model, X.double())
    for other in (nn.Linear(8, 3).double(), nn.Conv2d(2, 4, 3).double()):
        with Recording() as recording:
            other(X.double())
        recording.kept = [k for k in recording.kept if k.func is F.linear]
        torch.testing.assert_close(tangent_of(model, X.double(), recording), expected)


def test_a_kept_result_that_was_changed_is_computed_anew() -> None:
    model = nn.Linear(8, 3).double()
    with Recording() as recording:
        model(X.double()).relu_()
    torch.testing.assert_close(tangent_of(model, X.double(), recording), tangent_of(model, X.double()))


def test_evaluation_mode_and_missing_affine_maps_keep_the_usual_rule() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm2d(2), nn.BatchNorm2d(2, affine=False)).double()
    model[1].eval()
    with Recording() as recording:
        model(X.double())
    assert len(recording.kept) == 1  # the linear layer
    model[2].track_running_stats = False
    torch.testing.assert_close(tangent_of(model, X.double(), recording), tangent_of(model, X.double()))
