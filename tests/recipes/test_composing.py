"""Any parts together: every pair of slots takes a few steps, priors follow, nonsense is refused."""

import inspect
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch

from metabalance import MetaBalanceClassifier
from metabalance.recipes import RECIPES
from metabalance.recipes.composing import SLOTS, compose
from metabalance.streams import Task

torch.manual_seed(0)
N = 240
TARGET = torch.arange(N) % 6 // 5 + torch.arange(N) % 12 // 11  # 200, 20 and 20 rows
TABLE = torch.randn(N, 4) + TARGET[:, None]
IMAGES = (torch.rand(N, 1, 8, 8) + TARGET[:, None, None, None]) / 3

SENSELESS = {
    ("weigh", "step"): lambda weigh, step: True,
    ("loss", "adjust"): lambda loss, adjust: "ldam" in loss and adjust in ("tau_norm", "crt", "lws"),
    ("penalty", "step"): lambda penalty, step: step == "metabalance",
    ("mix", "step"): lambda mix, step: step == "adversarial",
}
CHOICES = {"sample": ("natural", "class_balanced", "square_root", "random_under", "smote"), **SLOTS}
PAIRS = [
    (a, x, b, y) for a, b in combinations(CHOICES, 2) for x in CHOICES[a] for y in CHOICES[b]
]  # fmt: skip


def network(images):
    if images:
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 8), torch.nn.ReLU(),
            torch.nn.Linear(8, 3),
        )  # fmt: skip
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def few_steps(plan, model, steps=2):
    if plan.prepare is not None:
        plan.prepare(model)
    optimizer = torch.optim.SGD([*model.parameters(), *plan.objective.parameters()], lr=0.05)
    for part in plan.parts:  # what is deferred shall act here too
        part.update(epoch=99, recall=torch.tensor([0.9, 0.5, 0.2]), loss=1.0)
    for batch, _ in zip(plan.loader, range(steps)):
        loss = plan.step(model, batch, plan.objective, optimizer)
        assert torch.isfinite(loss)
    if plan.then is not None:
        few_steps(plan.then(model), model)
    if plan.finish is not None:
        plan.finish(model)


@pytest.mark.parametrize(("a", "x", "b", "y"), PAIRS)
def test_every_pair_takes_a_few_steps_or_is_refused(a, x, b, y):
    images = "cutmix" in (x, y)
    task = Task(IMAGES if images else TABLE, TARGET, 3, batch_size=48, seed=1, feature_dim=8)
    if SENSELESS.get((a, b), lambda *_: False)(x, y):
        with pytest.raises(ValueError, match="leave"):
            compose(task, **{a: x, b: y})
        return
    plan = compose(task, **{a: x, b: y})
    np.testing.assert_allclose(plan.training_prior.sum(), 1, atol=1e-12)
    model = network(images)
    before = [p.detach().clone() for p in model.parameters()]
    few_steps(plan, model)
    assert model(task.inputs).shape == (N, 3)
    assert bool(torch.isfinite(model(task.inputs)).all())
    assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before))


def test_no_parts_are_plain_training():
    task = Task(TABLE, TARGET, 3, batch_size=48, seed=1)
    plain, composed = RECIPES["erm"](task), compose(task)
    torch.testing.assert_close(plain.training_prior, composed.training_prior)
    for one, two in zip(plain.loader, composed.loader):
        assert torch.equal(one[0], two[0])


@pytest.mark.parametrize("slot", ["loss", "step", "adjust", "weigh"])
def test_a_single_part_is_its_own_recipe(slot):
    for name in SLOTS[slot]:
        if name in ("metabalance", "drw"):  # draws its streams from other seeds; is switched on by an event
            continue
        ends = []
        for recipe, options in ((name, {}), ("compose", {slot: name})):
            model = MetaBalanceClassifier(
                recipe,
                recipe_options=options,
                random_state=0,
                epochs=10,
                patience=None,
                hidden=(8,),
                batch_size=48,
            )
            ends.append(model.fit(TABLE.numpy(), TARGET.numpy()).predict_proba(TABLE.numpy()))
        if slot == "weigh":  # the natural stream has another seed beside a meta stream
            assert ends[0].shape == ends[1].shape
        else:
            np.testing.assert_allclose(ends[0], ends[1], atol=1e-6, err_msg=name)


def test_the_prior_follows_all_parts():
    task = Task(TABLE, TARGET, 3, batch_size=48)
    natural = torch.tensor([10.0, 1.0, 1.0], dtype=torch.float64) / 12
    balanced = torch.ones(3, dtype=torch.float64) / 3
    torch.testing.assert_close(compose(task).training_prior, natural)
    torch.testing.assert_close(compose(task, sample="class_balanced").training_prior, balanced)
    torch.testing.assert_close(compose(task, loss="balanced_softmax").training_prior, balanced)
    both = compose(task, sample="class_balanced", loss="balanced_softmax")
    torch.testing.assert_close(both.training_prior, torch.tensor([1.0, 10.0, 10.0], dtype=torch.float64) / 21)
    half = compose(task, loss=partial(RECIPES["logit_adjustment"], tau=0.5))
    torch.testing.assert_close(half.training_prior, natural.sqrt() / natural.sqrt().sum())
    after = compose(task, sample="class_balanced", adjust="posthoc_logit_adjustment")
    torch.testing.assert_close(after.finished_prior, both.training_prior)


def test_two_corrections_are_explained_and_one_is_not():
    task = Task(TABLE, TARGET, 3, batch_size=48, feature_dim=8)
    for parts in (
        {"sample": "class_balanced", "loss": "balanced_softmax"},
        {"sample": "random_under", "adjust": "posthoc_logit_adjustment"},
        {"loss": "logit_adjustment", "adjust": "thresholding"},
    ):
        (note,) = [n for n in compose(task, **parts).notes if "correct the class prior" in n]
        assert note.startswith(f"{' and '.join(parts)} each")
    for parts in (
        {"loss": "balanced_softmax", "step": "sam"},
        {"sample": "class_balanced", "weigh": "cmw_net"},
        {"sample": "class_balanced", "loss": "focal"},
    ):
        assert not [n for n in compose(task, **parts).notes if "correct" in n]


def test_refusals():
    task = Task(TABLE, TARGET, 3, batch_size=48)
    with pytest.raises(ValueError, match=r"step='focal' does not fill this slot; use one of sam, asam"):
        compose(task, step="focal")
    with pytest.raises(ValueError, match="stream 'nothing' is unknown"):
        compose(task, sample="nothing")
    with pytest.raises(ValueError, match="takes the step itself"):
        compose(task, weigh="meta_weight_net", step="sam")


def test_it_is_a_recipe_of_the_command_line():
    from metabalance.study.candidates import parse_candidates
    from metabalance.study.summary import _stage

    (candidate,) = parse_candidates("compose(sample=square_root,loss=focal,step=sam)")
    assert set(dict(candidate.options)) <= set(inspect.signature(compose).parameters)
    assert _stage(candidate.label) == "several"
    model = MetaBalanceClassifier(
        "compose", recipe_options={"sample": "square_root", "loss": "focal", "step": "sam"}, epochs=2
    )
    assert model.fit(TABLE.numpy(), TARGET.numpy()).predict(TABLE.numpy()).shape == (N,)
