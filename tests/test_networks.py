"""Networks: shapes, sizes known from the papers, gradients everywhere, standardisation inside."""

import pytest
import torch

from metabalance.heads import last_linear
from metabalance.networks import MLP, NETWORKS, ConvNet, ResNet32, Standardize, WideResNet, build_network


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8)])
def test_shapes_and_gradients(name, shape):
    model = build_network(name, shape, 5)
    logits = model(torch.rand(4, *shape))
    assert logits.shape == (4, 5)
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    assert last_linear(model).out_features == 5


def test_sizes_of_the_papers():
    # He et al., table 6: 0.46 million for 32 layers, 0.27 for 20; Zagoruyko & Komodakis: 1.5 million for WRN-28-2.
    assert round(parameters(ResNet32(3, 10)) / 1e6, 2) == 0.46
    assert round(parameters(ResNet32(3, 10, blocks=3)) / 1e6, 2) == 0.27
    assert round(parameters(WideResNet(3, 10)) / 1e6, 1) == 1.5
    # Four 3x3 convolutions of 64 with batch norm, and a linear layer.
    assert parameters(ConvNet(1, 10)) == 9 * 64 * (1 + 3 * 64) + 4 * 128 + 650
    convolutions = [m for m in WideResNet(3, 10).modules() if isinstance(m, torch.nn.Conv2d)]
    assert (
        len([c for c in convolutions if c.kernel_size == (3, 3)]) == 25
    )  # 28 - 3: the depth counts 1x1 and fc


def test_standardisation_is_of_the_training_images_and_travels_with_the_weights():
    images = torch.rand(50, 3, 8, 8) * torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    layer = Standardize(3)
    layer.fit(images)
    out = layer(images)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out[:, :2].std((0, 2, 3), correction=0), torch.ones(2))
    other = Standardize(3)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(images), out)


def test_defaults_follow_the_shape_of_an_input():
    assert isinstance(build_network(None, (7,), 2), MLP)
    assert isinstance(build_network(None, (1, 8, 8), 2), ConvNet)
    assert build_network("mlp", (3, 8, 8), 2)(torch.rand(2, 3, 8, 8)).shape == (2, 2)


def test_refusals():
    with pytest.raises(ValueError, match="network 'vgg' is unknown; use mlp, convnet"):
        build_network("vgg", (3, 8, 8), 2)
    with pytest.raises(ValueError, match=r"resnet32 takes images.*shape \(7,\)"):
        build_network("resnet32", (7,), 2)
    with pytest.raises(ValueError, match="6 n"):
        WideResNet(3, 10, depth=30)
