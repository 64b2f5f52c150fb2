"""What the user may write after --recipes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.study.candidates import (
    DEFAULT_VALUE_RECIPES,
    VALUE_BASELINES,
    Candidate,
    check_options,
    parse_candidates,
)


def test_names_options_and_values():
    erm, meta = parse_candidates("erm, metabalance(order=2, inner_lr=0.1|0.3, preset=none, hidden=64x32)")
    assert erm == Candidate("erm")
    assert meta.options == (
        ("order", (2,)),
        ("inner_lr", (0.1, 0.3)),
        ("preset", (None,)),
        ("hidden", ((64, 32),)),
    )
    assert meta.label == "metabalance(order=2,inner_lr=0.1|0.3,preset=none,hidden=64x32)"
    assert [o["inner_lr"] for o in meta.grid()] == [0.1, 0.3]


def test_the_label_reads_back_as_the_same_candidate():
    text = "metabalance(order=2,inner_lr=0.1|0.3),focal(gamma=2),class_weight(weight=sqrt),erm(schedule=cosine,clip_norm=1.0)"
    once = parse_candidates(text)
    assert parse_candidates(",".join(c.label for c in once)) == once


def test_twice_the_same_is_once():
    assert len(parse_candidates("erm,erm")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smot", "did you mean smote"),
        ("metabalence", "did you mean metabalance"),
        ("erm,,class wait", "is not a recipe"),
        ("erm(", "parentheses"),
        ("erm)", "parentheses"),
        ("focal(gamma)", "write option=value"),
        ("focal(=2)", "write option=value"),
        ("", "no recipe was given"),
        (" , ", "no recipe was given"),
    ],
)
def test_nonsense_is_one_sentence(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        parse_candidates(text)
    assert "\n" not in str(caught.value)


def test_unknown_options_are_refused_with_those_that_exist():
    check_options(Candidate("metabalance", (("order", (2,)), ("lr", (0.1,)))))
    check_options(Candidate("lightgbm", (("num_leaves", (7,)),)))
    with pytest.raises(ValueError, match=r"no option 'odor'.*order"):
        check_options(Candidate("metabalance", (("odor", (2,)),)))
    with pytest.raises(ValueError, match=r"no option 'lr'"):
        check_options(Candidate("logistic", (("lr", (2,)),)))


@given(st.text(alphabet="erm,focal()=|0.1 x-_\n", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_candidates(text)
    except ValueError:
        return
    assert found
    assert all(c.grid() for c in found)


@pytest.mark.parametrize(
    "text",
    ["focal(gamma=x)", "erm(hidden=0)", "erm(lr=fast)", "metabalance(order=3)", "metabalance(inner=smot)", "erm(lr=0.1|no)",
     "lightgbm(num_leaves=many)", "class_weight(weight=heavy)", "erm(optimizer=adamm)"],
)  # fmt: skip
def test_values_that_make_no_sense_are_found_before_anything_is_fitted(text):
    from metabalance.study.fitting import rehearse

    (candidate,) = parse_candidates(text)
    with pytest.raises(ValueError, match=candidate.name) as caught:
        rehearse(candidate)
    assert "\n" not in str(caught.value)


def test_values_that_make_sense_pass_the_rehearsal():
    from metabalance.study.fitting import rehearse

    text = "metabalance(order=2,inner_lr=0.1|0.3,leak=0.01),metabalance(preset=loan_default),erm(hidden=8x4,epochs=3),"
    for candidate in parse_candidates(
        text + "class_weight(weight=sqrt),xgboost(max_depth=2),metabalance(inner=smote,outer=all_knn)"
    ):
        rehearse(candidate)


def test_candidates_for_values():
    found = parse_candidates(DEFAULT_VALUE_RECIPES, "values")
    assert found[0].name == "erm"
    assert set(VALUE_BASELINES) <= {c.name for c in parse_candidates(",".join(VALUE_BASELINES), "values")}
    (conr,) = parse_candidates("conr(base=lds_fds,coefficient=0.1|0.4)", "values")
    check_options(conr, "values")
    assert conr.grid()[1] == {"base": "lds_fds", "coefficient": 0.4}
    with pytest.raises(ValueError, match="conr has no option 'tau'"):
        check_options(Candidate("conr", (("tau", (1,)),)), "values")
    with pytest.raises(ValueError, match="'focal' is for a target of classes, and this one is of values"):
        parse_candidates("focal", "values")
    with pytest.raises(ValueError, match="'lds' is for a target of values, and this one is of classes"):
        parse_candidates("lds")
