"""Features of sentence pairs, made from the training text alone: no pretrained model is fetched.

Latent semantic analysis (Deerwester et al., "Indexing by latent semantic analysis", 1990): TF-IDF of words and of
character n-grams, reduced by a truncated singular value decomposition; a pair is told as u, v, |u - v| and u * v, the
combination that the sentence encoders of the STS benchmark's baselines use.
"""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.data.limits import read_limited

__all__ = ["pair_features", "read_pairs", "read_similarities"]

Array = NDArray[Any]
PARTS = ("train", "dev", "test")
DIMENSIONS = 100


def read_pairs(path: Path) -> tuple[list[str], list[str], Array, Array]:
    """First and second sentences, scores ``(N,)`` from 0 to 5, and parts ``(N,)`` of an STS-B-DIR archive."""
    first: list[str] = []
    second: list[str] = []
    score: list[float] = []
    part: list[str] = []
    with tarfile.open(path, "r:xz") as archive:
        for name in PARTS:
            stream = archive.extractfile(f"{name}_new.tsv")
            if stream is None:
                raise ValueError(f"{name}_new.tsv is no file")
            lines = read_limited(stream, f"{name}_new.tsv in {path.name}").decode().splitlines()
            head = lines[0].split("\t")
            columns = [head.index(c) for c in ("sentence1", "sentence2", "score")]
            for line in lines[1:]:  # quotation marks are text here, not quoting
                fields = line.split("\t")
                a, b, value = (fields[c] for c in columns)
                first.append(a)
                second.append(b)
                score.append(float(value))
                part.append(name)
    return first, second, np.array(score), np.array(part)


def pair_features(
    first: list[str], second: list[str], train: Array, dimensions: int = DIMENSIONS, seed: int = 0
) -> Array:
    """Features ``(N, 4 * dimensions)`` of pairs; vocabulary, weights and directions come from the training pairs.

    Args:
        first, second: The sentences.
        train: Mask ``(N,)`` of the training pairs.
        dimensions: Of a sentence; fewer where the training text has fewer.
        seed: Of the decomposition.

    >>> same = pair_features(["a cat sat", "dogs run"] * 4, ["a cat sat", "a cat ran"] * 4, np.ones(8, bool), 2)
    >>> bool(np.allclose(same[0, 4:6], 0)), same.shape  # |u - v| of equal sentences
    (True, (8, 8))
    """
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    text = [first[i] for i in np.flatnonzero(train)] + [second[i] for i in np.flatnonzero(train)]
    words = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True).fit(text)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True)
    try:
        letters.fit(text)
        views = [words, letters]
    except ValueError:  # no sequence of letters occurs three times
        views = [words]
    seen = hstack([v.transform(text) for v in views]).tocsr()
    reduce = TruncatedSVD(min(dimensions, *(n - 1 for n in seen.shape)), random_state=seed).fit(seen)

    def vectors(sentences: list[str]) -> Array:
        z = reduce.transform(hstack([v.transform(sentences) for v in views]).tocsr())
        return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)

    u, v = vectors(first), vectors(second)
    return np.hstack([u, v, np.abs(u - v), u * v])


def read_similarities(path: Path) -> tuple[Array, Array, Array]:
    """Features, scores and parts of an STS-B-DIR archive."""
    first, second, score, part = read_pairs(path)
    return pair_features(first, second, part == "train"), score, part
