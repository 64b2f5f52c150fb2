"""One offline HTML page for a run, a model or a scored file.

A page needs no network, follows the reader's light or dark theme, and prints; its only script is the threshold
explorer's. Views are worked out first (``comparison``, ``single``), templates only place text.
"""

import os
from collections.abc import Mapping
from typing import Any

from metabalance.study.report.comparison import build_view
from metabalance.study.report.page import write_page
from metabalance.study.report.value_comparison import values_view

__all__ = ["render_report"]


def render_report(result: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a comparison, whole or not at all.

    Args:
        result: What ``metabalance.study.summary.summarise`` returns. Parts that a comparison has not got may
            be absent (curves, differences, findings, costs); a metric that is NaN or None is shown as
            undefined.
        path: The HTML file.

    Raises:
        DataError: The file cannot be written.
    """
    if result.get("kind") == "values":
        write_page("values", values_view(result), path)
    else:
        write_page("comparison", build_view(result), path)
