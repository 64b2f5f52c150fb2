"""Data in: a file becomes a frame or pixels, a column becomes a target, and both become a list of findings.

==========  ======================================================================================
tables      ``read_table(path) -> DataFrame``; ``to_pandas(frame)``; ``resolve_column(frame, name)``
target      ``encode_target(series) -> Target``: class indices ``(N,)`` from 0, and their names
preprocess  ``TablePreprocessor().fit(frame).transform(frame) -> (N, D)`` float32
checks      ``check_table(frame, name, target) -> [Finding]``; ``apply_findings(frame, findings)``
images      ``read_images(path) -> Images``: pixels ``(N, C, H, W)``, uint8; ``check_images`` finds as above
noise       ``symmetric_noise(target, rate) -> (noisy (N,), wrong (N,))``
subsets     ``save_subset(file, index, target)``; ``load_subset(file, target) -> index``
errors      ``DataError``: the user's data cannot be used; one sentence says why and what to do
==========  ======================================================================================

``images``, ``noise``, ``subsets``, ``preprocess`` (scikit-learn) and ``batches``, ``cycle``, ``imbalance`` (torch)
are imported by their own names, so that looking at a table never waits for them.
"""

from metabalance.data.checks import Finding, apply_findings, check_table, row_hashes
from metabalance.data.errors import DataError
from metabalance.data.tables import read_table, resolve_column, to_pandas
from metabalance.data.target import Target, encode_target

__all__ = [
    "DataError",
    "Finding",
    "Target",
    "apply_findings",
    "check_table",
    "encode_target",
    "read_table",
    "resolve_column",
    "row_hashes",
    "to_pandas",
]
