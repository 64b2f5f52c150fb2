"""Ways of training: what goes together, what is refused, and the table that says so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from metabalance import MetaBalanceClassifier, checkpoint, engine
from metabalance.optimize import SAM
from metabalance.recipes import RECIPES
from metabalance.recipes.needs import recipe_needs
from metabalance.sharding import gathered, sharded
from metabalance.strategies import NEEDS, STRATEGIES, asked_for, check, needs_of, why_not
from metabalance.study.candidates import parse_candidates
from metabalance.study.strategies_table import refuse_unfit, strategies_markdown, strategy_rows

DOCS = Path(__file__).parents[1] / "docs"
Y = (np.arange(80) % 4 == 0).astype(int)
X = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32) + Y[:, None]


def classifier(recipe="focal", **settings):
    base = {
        "epochs": 2,
        "batch_size": 20,
        "random_state": 0,
        "validation_fraction": 0.0,
        "hidden": (4,),
        "device": "cpu",
    }
    return MetaBalanceClassifier(recipe, **base | settings)


def test_the_table_in_the_documentation_is_current():
    assert (DOCS / "strategies.md").read_text() == strategies_markdown() + "\n"


def test_every_recipe_has_a_row_and_known_needs():
    assert [name for name, _ in strategy_rows()] == list(RECIPES)
    for name in RECIPES:
        needs = recipe_needs(name)
        assert needs <= NEEDS.keys()
        assert "unknown" not in needs
    assert {word for words in STRATEGIES.values() for word in words} <= NEEDS.keys()


@pytest.mark.parametrize(
    ("recipe", "options", "needs"),
    [
        ("erm", {}, set()),
        ("focal", {}, set()),
        ("arb", {}, {"compares"}),
        ("arb", {"counts": "global"}, set()),
        ("sam", {}, {"own_step", "moves"}),
        ("supcon", {}, {"features", "compares", "parameters"}),
        ("metabalance", {}, {"own_step", "bare"}),
        ("metabalance", {"order": 2}, {"own_step", "bare", "second_order"}),
        ("ot_reweighting", {}, {"own_step", "bare", "rows"}),
        ("m2m", {}, {"own_step", "bare"}),  # in its second phase
        ("compose", {"loss": "focal", "step": "sam"}, {"own_step", "moves"}),
    ],
)
def test_needs_are_read_from_the_plans(recipe, options, needs):
    assert recipe_needs(recipe, options) == needs


def test_a_step_of_the_users_own_says_what_it_needs_or_is_refused():
    def step(model, batch, objective, optimizer): ...

    assert needs_of(step) == {"unknown"}
    with pytest.raises(
        ValueError, match="this step does not go with compile: its step does not say what it needs"
    ):
        check(["compile"], needs_of(step))
    step.needs = {"moves"}
    check(["ddp", "accumulate", "compile"], needs_of(step))
    assert why_not("fsdp", needs_of(step)) == NEEDS["moves"]


@pytest.mark.parametrize(
    ("recipe", "settings", "reason"),
    [
        ("metabalance", {"accumulate": 2}, "does not go with accumulate: it takes a step of its own"),
        ("arb", {"accumulate": 2}, "compares the rows"),
        ("meta_weight_net", {"compile": True}, "does not go with compile: it runs the bare network"),
        ("supcon", {"compile": True}, "reads the features through a hook"),
        ("sam", {"strategy": "fsdp"}, "does not go with fsdp: it moves the weights"),
        ("focal", {"strategy": "fsdp"}, "there is one only; give devices=2"),
        ("focal", {"strategy": "deepspeed"}, "strategy='deepspeed' is unknown"),
        ("focal", {"devices": 0}, "devices must be a whole number above 0"),
        ("focal", {"accumulate": 1.5}, "accumulate must be a whole number above 0"),
        ("focal", {"precision": "16-mixed"}, "16-mixed"),
    ],
)
def test_the_estimator_refuses(recipe, settings, reason):
    with pytest.raises(ValueError, match=reason):
        classifier(recipe, **settings).fit(X, Y)


def test_the_command_line_refuses_before_it_trains():
    with pytest.raises(ValueError, match="'sam_a' does not go with accumulate"):
        refuse_unfit(parse_candidates("erm,lightgbm,sam_a(rho=0.1)"), {"accumulate": 2})
    refuse_unfit(parse_candidates("erm,focal(gamma=1,lr=0.01)"), {"accumulate": 2, "compile": True})


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ("cutmix", "rotation_pretraining")])
def test_every_recipe_trains_in_mixed_precision(name):
    single = X.astype(np.float32)  # double precision stays as it is
    model = classifier(name, precision="bf16-mixed").fit(single, Y)
    assert np.isfinite(model.predict_proba(single)).all()
    assert {p.dtype for p in model.module_.parameters()} == {torch.float32}


class TestCompile:
    @pytest.fixture
    def eager(self, monkeypatch):
        """torch.compile with its graphs, but without a compiler behind them."""
        compile_, made = torch.compile, []

        def eager(model):
            made.append(compile_(model, backend="eager"))
            return made[-1]

        monkeypatch.setattr(torch, "compile", eager)
        return made

    def test_the_saved_network_is_free_of_the_wrapper(self, eager, tmp_path):
        model = classifier(compile=True, checkpoint=str(tmp_path / "run.ckpt")).fit(X, Y)
        assert len(eager) == 1
        assert not any("_orig_mod" in key for key in model.module_.state_dict())
        np.testing.assert_allclose(model.predict_proba(X), classifier().fit(X, Y).predict_proba(X), atol=1e-6)
        states = checkpoint.load(tmp_path / "run.ckpt")["states"]["model"]
        assert states.keys() == model.module_.state_dict().keys()

    def test_without_a_compiler_one_sentence_says_so(self, monkeypatch):
        monkeypatch.setattr(engine.shutil, "which", lambda _: None)
        with pytest.raises(
            ValueError, match=r"compile=True needs a C\+\+ compiler, but none was found; install g\+\+"
        ):
            classifier(compile=True).fit(X, Y)


class TestSharding:
    def test_one_process_has_nothing_to_divide(self):
        model = nn.Linear(2, 2)
        with pytest.raises(ValueError, match="there is one only"):
            sharded(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.device("cpu"))

    def test_no_checkpoint(self, tmp_path):
        model = nn.Linear(4, 2)
        with pytest.raises(ValueError, match="a sharded fit writes no checkpoint"):
            engine.fit(
                model, [(torch.zeros(2, 4), torch.tensor([0, 1]))], objective=engine.Objective(nn.CrossEntropyLoss()),
                optimizer=torch.optim.SGD(model.parameters(), lr=0.1), shard=True, checkpoint=tmp_path / "run.ckpt",
            )  # fmt: skip

    def test_what_is_not_divided_stays_as_it_is(self):
        twin, model = nn.Linear(2, 2), nn.Linear(2, 2)
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
        gathered(twin, model, optimizer)
        assert torch.equal(twin.weight, model.weight)
        assert optimizer.param_groups[0]["params"][0] is model.weight

    def test_a_step_with_a_look_ahead_is_refused(self):
        assert why_not("fsdp", needs_of(SAM())) is not None


@pytest.mark.slow
def test_processes_started_by_fit_itself():
    settings = {"epochs": 3, "preprocess": None, "hidden": (256, 128)}  # more than a pipe holds
    two, one = (classifier("metabalance", devices=n, **settings).fit(X, Y) for n in (2, 1))
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-5)
    assert two.history_.epochs[-1]["train_loss"] == pytest.approx(
        one.history_.epochs[-1]["train_loss"], abs=1e-5
    )
    with pytest.raises(ValueError, match="cannot be sent there"):
        classifier(devices=2, module=lambda features, classes: nn.Linear(features, classes)).fit(X, Y)


def test_what_settings_ask_for():
    assert asked_for() == []
    assert asked_for(2, "fsdp", 3, True) == ["ddp", "fsdp", "accumulate", "compile"]
    assert set(asked_for(2, "fsdp", 3, True)) | {"bf16-mixed"} == set(STRATEGIES)
