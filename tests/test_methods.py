"""The method table: facts that hold together, names that lead somewhere, citations that BibTeX reads."""

import importlib
import json
import re
import subprocess
import sys
import unicodedata

import pytest

from metabalance.methods import METHODS, STAGES, UnknownName, as_markdown, bibtex, get_method, nearest

OPTIONAL = ("lightgbm", "xgboost")


def parse_bibtex(text):
    """A small reader of its own: {key: (type, fields)}; braces must balance, keys and fields be unique."""
    entries = {}
    at = 0
    while (at := text.find("@", at)) >= 0:
        kind, start = text[at + 1 : text.index("{", at)], text.index("{", at)
        depth, end = 0, start
        while True:
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0:
                break
            end += 1
        key, _, body = text[start + 1 : end].partition(",")
        pairs = re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", body, flags=re.MULTILINE)
        assert key not in entries
        assert len(dict(pairs)) == len(pairs) == len(body.strip().splitlines())
        entries[key] = (kind, dict(pairs))
        at = end
    return entries


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_facts_are_complete(method):
    assert method.stage in STAGES
    assert method.modality in ("any", "numeric", "table", "image")
    assert method.what.endswith(".")
    assert method.what[:-1].count(". ") == 0, "one sentence"
    assert method.symbols
    assert re.fullmatch(r"[a-z][a-z0-9_]+", method.name)
    for paper in method.papers:
        assert 1900 < paper.year < 2027
        assert paper.authors
        assert all(" " in author for author in paper.authors), "first and last names"
        assert paper.arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}", paper.arxiv)
        assert paper.doi is None or paper.doi.startswith("10.")
        surname = unicodedata.normalize("NFD", paper.authors[0].rsplit(" ", 1)[-1].lower().replace("ł", "l"))
        surname = "".join(char for char in surname if not unicodedata.combining(char))
        words = [
            word for word in re.split(r"\W", paper.title.lower()) if word not in ("a", "an", "the", "on")
        ]
        assert paper.key == f"{surname}{paper.year}{words[0]}"


def test_names_are_unique():
    assert len({method.name for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_symbols_exist(method):
    for symbol in method.symbols:
        module, name = symbol.split(":")
        if module in OPTIONAL:
            pytest.importorskip(module)
        assert hasattr(importlib.import_module(module), name), symbol


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_recipes_of_the_table_are_those_that_exist(kind):
    from metabalance.recipes import KINDS
    from metabalance.study.candidates import KIND_BASELINES

    listed = {method.name for method in METHODS if method.recipe and kind in method.kinds}
    assert listed == {*KINDS[kind], *KIND_BASELINES[kind]} - {"compose"}


def test_the_index_says_for_which_kind_of_target_a_recipe_is():
    text = as_markdown()
    assert "| `erm` ★☆ |" in text
    assert "| `focal` ★ |" in text
    assert "| `conr` ☆ |" in text
    assert "| `wilson` |" in text
    assert get_method("conr").as_dict()["kinds"] == ("values",)


def test_resamplers_of_the_table_are_those_that_exist():
    from metabalance.sample import RESAMPLERS

    listed = {m.name for m in METHODS if m.symbols[0] == "metabalance.sample:resample"}
    assert listed == set(RESAMPLERS) - {"none", "simple"}


@pytest.mark.parametrize(
    ("name", "arxiv"),
    [
        ("metabalance", "2106.09643"),
        ("focal", "1708.02002"),
        ("class_balanced", "1901.05555"),
        ("logit_adjustment", "2007.07314"),
        ("balanced_softmax", "2007.10740"),
        ("square_root", "1910.09217"),
        ("oversample", "1710.05381"),
        ("calibrator", "1901.06852"),
        ("smote", "1106.1813"),
        ("wilson", None),
    ],
)
def test_pinned_arxiv_numbers(name, arxiv):
    assert get_method(name).arxiv == arxiv


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_bibtex_is_read_back(method):
    text = bibtex(method.name)
    assert text.isascii()
    entries = parse_bibtex(text)
    assert list(entries) == [paper.key for paper in method.papers]
    for paper, (kind, fields) in zip(method.papers, entries.values()):
        required = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}
        assert {"title", "author", "year", required[kind]} <= fields.keys()
        assert len(fields["author"].split(" and ")) == len(paper.authors)
        assert fields["year"] == str(paper.year)
        assert fields.get("doi") == paper.doi


def test_bibtex_of_a_name_with_an_accent():
    assert r"Piotr Doll{\'a}r" in bibtex("focal")


def test_same_paper_same_key_everywhere():
    papers = [paper for method in METHODS for paper in method.papers]
    assert len({paper.key for paper in papers}) == len(set(papers))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("focall", "focal"),
        ("SMOTE", "smote"),
        ("logit-adjustment", "logit_adjustment"),
        ("balanced", "class_balanced"),
    ],
)
def test_unknown_name_gives_the_nearest_in_one_sentence(given, expected):
    with pytest.raises(UnknownName) as caught:
        get_method(given)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(f"the method {given!r} is unknown; did you mean ")
    assert "\n" not in message
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("given", ["", "zzzzzz", "%", "x" * 1000])
def test_unknown_name_that_is_near_nothing(given):
    with pytest.raises(UnknownName, match="lists them all"):
        get_method(given)


def test_nearest():
    assert nearest("adasyn", ["ADASYN", "smote"]) == ["ADASYN"]
    assert nearest("clas", ["Class", "class_weight", "x"]) == ["Class", "class_weight"]
    assert nearest("1", [10, 1])[0] == "1"
    assert nearest("b", ["abc", "bcd"]) == []  # one letter is near to half of everything
    assert len(nearest("aaa", [f"aaa{i}" for i in range(9)], limit=2)) == 2


def test_markdown_holds_every_method_once():
    text = as_markdown()
    names = re.findall(r"^\| `(\w+)`", text, flags=re.MULTILINE)
    assert sorted(names) == sorted(method.name for method in METHODS)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") == 5 for line in rows), "a stray bar would break the table"
    assert [line.split()[1][:-1] for line in text.splitlines() if line.startswith("## ")] == list(STAGES)


def test_as_dict_is_plain_json():
    record = get_method("threshold").as_dict()
    assert json.loads(json.dumps(record))["citations"] == ["Elkan 2001", "Sheng & Ling 2006"]
    assert record["title"] == "The Foundations of Cost-Sensitive Learning"


def test_importing_the_table_imports_nothing_heavy():
    code = (
        "import sys, metabalance.methods as m; m.as_markdown(); m.bibtex('focal'); "
        "print([n for n in ('torch', 'numpy', 'pandas', 'sklearn', 'scipy') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_method_and_paper_is_complete():
    from metabalance.methods import Method, Paper

    for method in METHODS:
        assert isinstance(method, Method)
        assert method.papers
        for paper in method.papers:
            assert isinstance(paper, Paper)
            assert 1900 <= paper.year <= 2026
            assert all(" " in author for author in paper.authors), paper
