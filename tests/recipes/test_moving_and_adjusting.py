"""Recipes that move the parameters their own way, or adjust the network afterwards, run whole by the estimator."""

import numpy as np
import pytest
import torch
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.adjust import PosthocLogitAdjustment, prior_threshold
from metabalance.data.transformed import Transformed
from metabalance.engine import fit
from metabalance.heads import last_linear
from metabalance.loss import CosineLinear
from metabalance.optimize import DeferredReweighting, DeferredSampler
from metabalance.recipes import RECIPES, Task, get_recipe

rng = np.random.default_rng(0)
Y = (np.arange(400) % 10 == 0).astype(int) + (np.arange(400) % 20 == 0)
X = (rng.normal(size=(400, 6)) + Y[:, None]).astype(np.float32)
IMAGES = rng.random((80, 1, 8, 8)).astype(np.float32) * 0.5
LABELS = (np.arange(80) % 5 == 0).astype(int)
IMAGES[LABELS == 1, :, :4] += 0.4

OURS = [
    "adversarial",
    "asam",
    "crt",
    "drs",
    "drw",
    "lws",
    "posthoc_logit_adjustment",
    "sam",
    "sam_a",
    "simplified",
    "srat",
    "tau_norm",
    "thresholding",
    "two_phase",
]

# Each step of an attack is one more pass.
FAST = {"adversarial": {"steps": 2}, "srat": {"steps": 2}}


def train(name, x=X, y=Y, options=None, **settings):
    settings = {
        "epochs": 10,
        "batch_size": 64,
        "random_state": 0,
        "hidden": (16,),
        "min_positives": 1,
    } | settings
    return MetaBalanceClassifier(name, recipe_options=options, **settings).fit(x, y)


def task(**changes):
    given = {"inputs": torch.from_numpy(X), "target": torch.from_numpy(Y), "num_classes": 3}
    return Task(**(given | {"batch_size": 64, "epochs": 10} | changes))


def norm_network(features, classes):
    return nn.Sequential(nn.Linear(features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes))


@pytest.mark.parametrize("name", OURS)
def test_on_a_table(name):
    model = train(name, options=FAST.get(name))
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(1), 1)
    # After so few steps the second of two phases has hardly begun to turn the scores back to the natural shares.
    assert (p.argmax(1) == Y).mean() > (0.6 if name == "two_phase" else 0.8)
    assert all(parameter.requires_grad for parameter in model.module_.parameters())
    names = list(train("erm", epochs=1).module_.state_dict())
    assert list(model.module_.state_dict()) == names  # ships as the network the user asked for


@pytest.mark.parametrize("name", OURS)
def test_on_images(name):
    p = train(name, IMAGES, LABELS, FAST.get(name), epochs=1, batch_size=40).predict_proba(IMAGES)
    assert np.isfinite(p).all()
    assert len({tuple(row) for row in p.round(6).tolist()}) > 1


@pytest.mark.parametrize("name", OURS)
def test_weights_of_rows_and_classes_are_heeded(name):
    weight = np.where(np.arange(400) < 200, 2.0, 0.5)
    model = MetaBalanceClassifier(
        name, epochs=2, batch_size=64, random_state=0, hidden=(8,), class_weight={2: 3.0}
    ).fit(X, Y, sample_weight=weight)
    plain = MetaBalanceClassifier(name, epochs=2, batch_size=64, random_state=0, hidden=(8,)).fit(X, Y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert not np.allclose(model.predict_proba(X), plain.predict_proba(X))


def test_the_weights_come_on_at_four_fifths_and_only_then_are_epochs_kept():
    plan = RECIPES["drw"](task())
    assert isinstance(plan.objective.loss, DeferredReweighting)
    assert plan.objective.loss.start_epoch == 8
    assert plan.select_from == 0.8
    assert plan.parts == (plan.objective.loss,)
    seen = []
    model = torch.nn.Linear(6, 3)
    step = lambda m, b, o, p: (seen.append(float(o.loss.current[2])), o(m, b).detach())[1]  # noqa: E731
    fit(
        model,
        plan.loader,
        objective=plan.objective,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        step=step,
        parts=plan.parts,
        epochs=10,
    )
    per_epoch = len(plan.loader)
    assert set(seen[: 8 * per_epoch]) == {1.0}
    assert len(set(seen[8 * per_epoch :])) == 1
    assert seen[-1] > 1.4
    assert train("drw").history_.best_epoch >= 8


def test_before_its_start_drw_trains_as_erm_does():
    a = train(
        "drw", epochs=20, max_seconds=None, patience=None, validation_fraction=0.0, options={"start": 0.95}
    )
    b = train("erm", epochs=20, patience=None, validation_fraction=0.0)
    for one, two in zip(a.history_.epochs[:19], b.history_.epochs[:19]):
        assert one["train_loss"] == two["train_loss"]
    assert a.history_.epochs[19]["train_loss"] != b.history_.epochs[19]["train_loss"]


def test_ldam_drw_has_a_head_of_cosines():
    head = last_linear(train("drw", options={"loss": "ldam"}).module_)
    assert isinstance(head, CosineLinear)
    plan = RECIPES["drw"](task(), loss="ldam")
    own = RECIPES["ldam"](task()).objective.loss
    z, y = torch.randn(30, 3), torch.arange(30) % 3
    assert torch.equal(plan.objective.loss(z, y), own(z, y))


@pytest.mark.parametrize("loss", ["cross_entropy", "ldam", "focal", "logit_adjustment"])
def test_priors_of_deferred_losses(loss):
    plan = RECIPES["drw"](task(), loss=loss, beta=1.0)
    prior = np.array([360, 20, 20]) / 400
    w = 1 / prior
    natural = np.ones(3) if loss == "logit_adjustment" else prior
    np.testing.assert_allclose(plan.training_prior, natural * w / (natural * w).sum())


def test_drs_turns_to_balanced_batches():
    plan = RECIPES["drs"](task(), start=0.5)
    (sampler,) = plan.parts
    assert isinstance(sampler, DeferredSampler)
    assert sampler.start_epoch == 5
    plan.loader.set_epoch(0)
    counts = torch.cat([b[1] for b in plan.loader]).bincount(minlength=3)
    sampler.update(epoch=4)
    for _ in range(2):  # the pass that had begun is finished
        later = torch.cat([b[1] for b in plan.loader]).bincount(minlength=3)
    assert counts[0] > 0.8 * counts.sum()
    assert later.max() - later.min() <= 0.1 * later.sum()
    np.testing.assert_allclose(plan.training_prior, [1 / 3] * 3)
    augmented = RECIPES["drs"](task(augment=lambda x, y, g: (x, y)))
    assert isinstance(augmented.loader.loader, Transformed)


def test_two_phases_of_training():
    seen = []

    def sgd(params, lr, weight_decay):
        params = list(params)
        seen.append((lr, len(params)))
        return torch.optim.SGD(params, lr=lr)

    model = train("two_phase", optimizer=sgd, lr=0.5, module=norm_network)
    assert seen == [(0.5, 6), (0.05, 2)]
    assert [len(h.epochs) for h in model.histories_] == [5, 5]
    np.testing.assert_allclose(model.training_prior_, model.source_prior_, atol=1e-2)
    first = RECIPES["two_phase"](task(), first="random_under")
    np.testing.assert_allclose(first.training_prior, [1 / 3] * 3)
    np.testing.assert_allclose(first.then(None).training_prior, [0.9, 0.05, 0.05])


@pytest.mark.parametrize("name", ["crt", "lws", "two_phase"])
@pytest.mark.parametrize("freeze_bn", [True, False])
def test_the_second_phase_leaves_the_trunk_alone(name, freeze_bn):
    torch.manual_seed(0)
    model = norm_network(6, 3)
    plan = RECIPES[name](task(), freeze_bn=freeze_bn)
    second = plan.then(model)
    for _ in range(2):
        model(torch.from_numpy(X))  # statistics worth keeping
    before = {k: v.clone() for k, v in model.state_dict().items()}
    second.prepare(model)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == (
        ["3.scale"] if name == "lws" else ["3.weight", "3.bias"]
    )
    prepared = {k: v.clone() for k, v in model.state_dict().items()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    fit(
        model,
        second.loader,
        objective=second.objective,
        optimizer=torch.optim.SGD(trainable, lr=0.1),
        epochs=2,
    )
    second.finish(model)
    after = model.state_dict()
    assert list(after) == list(before)
    same = {name for name in after if torch.equal(after[name], before[name])}
    trunk = {"0.weight", "0.bias", "1.weight", "1.bias"}
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert same == trunk | (statistics if freeze_bn else set())
    assert all(p.requires_grad for p in model.parameters())
    fresh = not torch.equal(prepared["3.weight"], before["3.weight"])
    assert fresh == (name == "crt")


def test_decoupled_heads_are_calibrated_to_balanced_batches():
    for name in ("crt", "lws"):
        model = train(name)
        np.testing.assert_allclose(model.training_prior_, [1 / 3] * 3)
        assert [len(h.epochs) for h in model.histories_] == [9, 1]


def test_tau_norm_leaves_rows_of_one_length():
    head = last_linear(train("tau_norm").module_)
    torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(3))
    assert torch.equal(head.bias, torch.zeros(3))
    np.testing.assert_allclose(
        train("tau_norm", options={"tau": 0.0}).training_prior_, [0.9, 0.05, 0.05], atol=1e-2
    )


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_the_networks_own_scores_are_adjusted_and_its_probabilities_stay(tau):
    plain = train("erm", monitor="log_loss")
    model = train("posthoc_logit_adjustment", options={"tau": tau}, monitor="log_loss")
    prior = plain.source_prior_
    assert model.history_.epochs == plain.history_.epochs  # selected by the same figures, at its own prior
    raw = PosthocLogitAdjustment(plain.training_prior_, tau)(plain._outputs(X))
    np.testing.assert_allclose(model._outputs(X), raw, rtol=1e-4, atol=1e-4)
    left = plain.training_prior_ ** (1 - tau)
    np.testing.assert_allclose(model.training_prior_, left / left.sum(), rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), rtol=1e-3, atol=1e-5)
    assert prior.shape == (3,)


def test_thresholding_divides_by_the_shares_it_is_told():
    plain = train("erm")
    model = train("thresholding")
    p = plain.predict_proba(X, prior="training")
    np.testing.assert_array_equal(
        model.predict_proba(X, prior="training").argmax(1),
        prior_threshold(p, plain.training_prior_).argmax(1),
    )
    np.testing.assert_allclose(model.training_prior_, [1 / 3] * 3)
    over = RECIPES["thresholding"](task(), sampling="random_over")
    np.testing.assert_allclose(over.finished_prior, np.array([1 / 18, 1, 1]) / (2 + 1 / 18))
    effective = RECIPES["thresholding"](task(), sampling="random_over", prior="effective")
    np.testing.assert_allclose(effective.finished_prior, [1 / 3] * 3)
    doubled = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    weighted = RECIPES["thresholding"](task(class_weight=doubled), prior="effective")
    np.testing.assert_allclose(weighted.finished_prior, [0.25, 0.5, 0.25])


def test_simplified_options():
    plan = RECIPES["simplified"](task(), batch_size=16)
    assert len(plan.loader) == 25
    assert len(next(iter(plan.loader))[1]) == 16
    assert isinstance(plan.loader.loader, Transformed)
    bare = RECIPES["simplified"](task(), smoothing=0.0, rho=0.0, augment=False)
    erm = RECIPES["erm"](task())
    model = nn.Linear(6, 3)
    assert bare.step is erm.step
    for one, two in zip(bare.loader, erm.loader, strict=True):
        torch.testing.assert_close(bare.objective(model, one), erm.objective(model, two))
    np.testing.assert_allclose(bare.training_prior, erm.training_prior)
    softer = RECIPES["simplified"](task(), smoothing=0.0, tail_smoothing=0.3).objective.loss
    np.testing.assert_allclose(softer.epsilon, [0.0, 0.3, 0.3])


def test_attacks_have_the_radius_of_their_inputs():
    attack = RECIPES["adversarial"](task()).step.attack
    assert (attack.eps, attack.clip) == (0.1, None)
    images = task(inputs=torch.from_numpy(IMAGES), target=torch.from_numpy(LABELS), num_classes=2)
    attack = RECIPES["adversarial"](images).step.attack
    assert (attack.eps, attack.clip, attack.steps) == (8 / 255, (0.0, 1.0), 10)


def trained_by(plan, epochs=2):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(
        model,
        plan.loader,
        objective=plan.objective,
        optimizer=optimizer,
        step=plan.step,
        parts=plan.parts,
        epochs=epochs,
    )
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_where_srat_is_a_simpler_method():
    make = RECIPES["srat"]
    # no separation and no weights: adversarial training
    plain = trained_by(RECIPES["adversarial"](task(), steps=2))
    assert torch.equal(trained_by(make(task(), coefficient=0.0, beta=0.0, steps=2)), plain)
    # weights that come on later: the same until then
    assert torch.equal(trained_by(make(task(), coefficient=0.0, steps=2)), plain)
    assert not torch.equal(trained_by(make(task(), coefficient=0.0, steps=2, start=0.0)), plain)
    # no radius and no separation: deferred re-weighting
    drw = trained_by(RECIPES["drw"](task(), start=0.0))
    assert torch.equal(trained_by(make(task(), coefficient=0.0, eps=0.0, start=0.0)), drw)
    # the separation moves the network, and is told the attacked features
    assert not torch.equal(trained_by(make(task(), steps=2, beta=0.0)), plain)
    assert trained_by(make(task(), loss="ldam", steps=2)).isfinite().all()


@pytest.mark.parametrize("name", ["drw", "crt", "adversarial", "sam_a"])
def test_killed_and_resumed_they_end_with_the_same_bits(name, tmp_path, monkeypatch):
    import metabalance.run as run_module

    settings = {"epochs": 10, "patience": None}
    whole = train(name, options=FAST.get(name), **settings)
    real, saves = run_module.Run.save, []

    def dies(self):
        real(self)
        saves.append(1)
        if len(saves) == 10:  # crt: the end of the first phase is the ninth
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Run, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(name, options=FAST.get(name), checkpoint=str(tmp_path / "c"), **settings)
    monkeypatch.setattr(run_module.Run, "save", real)
    resumed = train(name, options=FAST.get(name), checkpoint=str(tmp_path / "c"), **settings)
    for a, b in zip(whole.module_.state_dict().values(), resumed.module_.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("drw", {"loss": "x"}, "loss='x' is unknown; use 'cross_entropy'"),
        ("drw", {"start": 1.0}, "start must be at least 0 and below 1"),
        ("drs", {"start": -0.1}, "start must be at least 0 and below 1"),
        (
            "two_phase",
            {"first": "natural"},
            "first='natural' is unknown; use 'random_over' or 'random_under'",
        ),
        ("thresholding", {"sampling": "x"}, "sampling='x' is unknown"),
        ("thresholding", {"prior": "x"}, "prior='x' is unknown; use 'train_original' or 'effective'"),
        ("simplified", {"smoothing": 1.0}, "head and tail must be at least 0 and below 1"),
        ("sam_a", {"mode": "x"}, "mode='x' is unknown"),
        ("adversarial", {"norm": "l1"}, "norm='l1' is unknown"),
        ("tau_norm", {"tau": float("nan")}, "tau must be a finite number"),
        ("posthoc_logit_adjustment", {"tau": float("inf")}, "tau must be a finite number"),
    ],
)
def test_refusals(name, options, said):
    with pytest.raises(ValueError, match=said):
        get_recipe(name)(task(), **options)
