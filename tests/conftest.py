"""Shared by all tests: one thread, real data if they are there."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip without it."""
    folder = Path(os.environ.get("METABALANCE_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set METABALANCE_DATA")
    return folder.resolve()
