"""The head of a network: found, exchanged, its input read."""

import pytest
import torch
from torch import nn

from metabalance.bilevel import Functional
from metabalance.heads import features, head_name, last_linear, replace_head, tapped


def network():
    return nn.Sequential(
        nn.Linear(3, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 4), nn.ReLU()), nn.Linear(4, 2)
    )


def test_the_head_is_the_last_linear_layer():
    model = network()
    assert head_name(model) == "3"
    assert last_linear(model) is model[3]


def test_features_are_the_input_of_the_head_and_carry_gradients():
    model, inputs = network(), torch.randn(6, 3)
    found = features(model, inputs)
    torch.testing.assert_close(found, model[:3](inputs))
    found.sum().backward()
    assert model[0].weight.grad is not None
    assert model[3].weight.grad is None


def test_the_tap_is_removed_also_after_an_error():
    model = network()
    with pytest.raises(RuntimeError), tapped(model):
        model(torch.randn(2, 99))
    with tapped(model) as seen:
        pass
    model(torch.randn(2, 3))
    assert seen == []


def test_a_new_head_takes_the_place_of_the_old():
    model, new = network(), nn.Linear(4, 7)
    old = replace_head(model, new)
    assert old.out_features == 2
    assert last_linear(model) is new
    assert model(torch.randn(2, 3)).shape == (2, 7)


def test_a_head_that_is_no_single_layer_is_found_by_its_last_one():
    model = network()
    replace_head(model, nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 8)))
    assert head_name(model) == "3.2"


def test_a_head_that_stands_in_two_places_is_replaced_in_both():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = self.a

        def forward(self, x):
            return self.b(self.a(x))

    model, new = Twice(), nn.Linear(2, 2)
    replace_head(model, new)
    assert model.a is new
    assert model.b is new


def test_a_function_that_carries_its_network_will_do():
    model = network()
    ahead = Functional(model, {name: p + 1 for name, p in model.named_parameters()})
    inputs = torch.randn(2, 3)
    assert features(ahead, inputs).shape == (2, 4)
    assert not torch.equal(features(ahead, inputs), features(model, inputs))


def test_refusals():
    with pytest.raises(ValueError, match=r"none was found.*give the network one"):
        last_linear(nn.ReLU())
    with pytest.raises(ValueError, match=r"wrap it in nn\.Sequential"):
        replace_head(nn.Linear(2, 2), nn.Linear(2, 3))
