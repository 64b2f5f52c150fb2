"""The package itself: its version is one, and importing it is light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import metabalance

ROOT = Path(__file__).parents[1]


def test_one_version_everywhere():
    version = metabalance.__version__
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_is_light_and_unknown_names_are_refused():
    code = "import sys, metabalance; assert 'torch' not in sys.modules; metabalance.MetaBalanceClassifier"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = metabalance.Nothing


def test_the_documentation_links_to_what_exists():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_method_index_is_up_to_date():
    from metabalance.methods import as_markdown

    assert (ROOT / "docs" / "methods.md").read_text().strip() == as_markdown().strip()
