"""A step around a step: the batch is changed with the network at hand, states are kept."""

import torch
from torch import nn

from metabalance.engine import plain_step
from metabalance.steps import TransformStep

BATCH = torch.randn(8, 3), torch.randint(2, (8,))


def objective(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def after(step, batch):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    loss = step(model, batch, objective, torch.optim.SGD(model.parameters(), lr=0.5))
    return loss, model.weight.detach().clone()


def test_it_is_the_inner_step_on_the_changed_batch():
    changed = BATCH[0] * 2, BATCH[1]
    for a, b in zip(
        after(TransformStep(lambda model, batch: (batch[0] * 2, batch[1])), BATCH), after(plain_step, changed)
    ):
        assert torch.equal(a, b)


def test_the_transform_sees_the_network():
    seen = []
    after(TransformStep(lambda model, batch: seen.append(model) or batch), BATCH)
    assert isinstance(seen[0], nn.Linear)


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, model, batch):
        self.calls += 1
        return batch

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


def test_states_of_both_are_kept():
    step = TransformStep(Counter(), TransformStep(Counter()))
    after(step, BATCH)
    other = TransformStep(Counter(), TransformStep(Counter()))
    other.load_state_dict(step.state_dict())
    assert (other.transform.calls, other.step.transform.calls) == (1, 1)
    assert TransformStep(lambda model, batch: batch).state_dict() == {}
