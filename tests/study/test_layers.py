"""A network comes back from words and tensors: heads that recipes exchange survive, what is unknown is refused."""

import json

import pytest
import torch
from torch import nn

from metabalance import adjust, loss
from metabalance.data.errors import DataError
from metabalance.heads import replace_head
from metabalance.networks import NETWORKS, build_network
from metabalance.study.layers import describe_network, rebuild_network

SHAPE, CLASSES = (3, 8, 8), 4


def network(name="convnet", seed=0):
    torch.manual_seed(seed)
    made = build_network(name, SHAPE, CLASSES, (8, 6), 0.1)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.dtype.is_floating_point:
                tensor.copy_(torch.rand_like(tensor) + 0.1)
    return made.eval()


def told_and_made_again(module, name="convnet"):
    told = describe_network(module, name, SHAPE, CLASSES, (8, 6), 0.1)
    told = json.loads(json.dumps(told))  # what the manifest does
    state = {k: v.clone() for k, v in module.state_dict().items()}
    torch.manual_seed(99)
    return rebuild_network(told, state, CLASSES), told


@pytest.mark.parametrize("name", [None, "mlp", *NETWORKS])
def test_every_architecture_comes_back_to_the_bit(name):
    module = network(name)
    again, told = told_and_made_again(module, name)
    assert told["changed"] == {}
    x = torch.rand(5, *SHAPE)
    assert torch.equal(again(x), module(x))
    assert not again.training


@pytest.mark.parametrize(
    "head",
    [
        nn.Linear(64, CLASSES, bias=False),
        nn.Linear(64, CLASSES + 3),
        nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, CLASSES)),
        nn.Identity(),
    ],
    ids=["without bias", "wider", "with batch norm", "features"],
)
def test_exchanged_heads_come_back(head):
    module = network()
    replace_head(module, head.eval())
    again, told = told_and_made_again(module)
    assert list(told["changed"]) == [str(len(module) - 1)]
    x = torch.rand(5, *SHAPE)
    assert torch.equal(again(x), module(x))


def exported_heads():
    """Heads that the stages export: whatever can stand in the place of a linear layer."""
    made = {}
    for room in (loss, adjust):
        for name in room.__all__:
            kind = getattr(room, name)
            if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
                continue
            for arguments in (
                (64, CLASSES),
                (nn.Linear(64, CLASSES),),
                (nn.Linear(64, CLASSES), torch.ones(CLASSES)),
            ):
                try:
                    head = kind(*arguments)
                    if head(torch.rand(2, 64)).shape == (2, CLASSES):
                        made[name] = head
                        break
                except Exception:  # not a head
                    continue
    return made


@pytest.mark.parametrize("name", exported_heads())
def test_every_head_that_a_stage_exports_comes_back(name):
    module = network()
    head = exported_heads()[name]
    with torch.no_grad():
        for tensor in head.state_dict().values():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    replace_head(module, head)
    again, told = told_and_made_again(module)
    assert next(iter(told["changed"].values()))["kind"] == name
    x = torch.rand(5, *SHAPE)
    assert torch.equal(again(x), module(x))


class Own(nn.Linear):
    """A user's layer."""


def test_unknown_layers_are_refused_with_their_name():
    module = network()
    replace_head(module, Own(64, CLASSES))
    with pytest.raises(DataError, match="is a Own, which is not known"):
        told_and_made_again(module)
    replaced = network()
    replaced[0] = nn.Tanh()
    with pytest.raises(DataError, match="is a Tanh"):
        told_and_made_again(replaced)
    with pytest.raises(DataError, match=r"\(the whole network\).* is a Conv2d"):
        told_and_made_again(nn.Conv2d(3, 4, 1))


def test_a_class_that_borrows_a_known_name_is_no_known_class():
    impostor = type("Linear", (nn.Linear,), {"forward": lambda self, x: super(nn.Linear, self).forward(x)})
    module = network()
    replace_head(module, impostor(64, CLASSES))
    with pytest.raises(DataError, match="not known to be safe"):
        told_and_made_again(module)


def test_a_user_s_own_network_is_refused():
    for own in (Own(3, 4), Own, lambda channels, classes: Own(channels, classes)):
        with pytest.raises(DataError, match="is your own"):
            describe_network(Own(3, 4), own, SHAPE, CLASSES, (), 0.0)


def test_what_no_layer_tells_is_noticed():
    module = network()
    module[-1].register_forward_hook(lambda layer, args, out: 2 * out)
    with pytest.raises(DataError, match="more than its layers tell"):
        told_and_made_again(module)
    odd = network()
    head = nn.Linear(64, CLASSES)
    head.note = object()
    replace_head(odd, head)
    with pytest.raises(DataError, match="holds note"):
        told_and_made_again(odd)


def test_a_forged_description_makes_nothing_else():
    module = network()
    replace_head(module, nn.Linear(64, CLASSES, bias=False))
    _, told = told_and_made_again(module)
    state = module.state_dict()
    path = next(iter(told["changed"]))

    def forged(**change):
        return told | {"changed": {path: told["changed"][path] | change}}

    with pytest.raises(ValueError, match="'Popen' is not known"):
        rebuild_network(forged(kind="Popen"), state, CLASSES)
    for name in ("forward", "__class__", "_modules", "_forward_hooks", "load_state_dict"):
        with pytest.raises(ValueError, match="cannot be set"):
            rebuild_network(forged(plain={name: 1}), state, CLASSES)
    with pytest.raises(KeyError):
        rebuild_network(forged(tensors={"elsewhere": True}), state, CLASSES)
    with pytest.raises(ValueError, match="unknown"):
        rebuild_network(told | {"architecture": "os.system"}, state, CLASSES)
