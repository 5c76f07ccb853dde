"""The metric char-ngram: cosine of hashed character n-grams, without a model and without a key.

Texts come in, unit vectors and scores go out. There is no inverse document frequency: a score depends on the two
texts alone, not on what else is in the database. This module does not touch the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from madetl.arrays import without_pandas

if TYPE_CHECKING:  # imported where they are used: a run that finds nothing to do does not need them
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer

NAME = "char-ngram"
PARAMETERS: dict[str, Any] = {
    "analyzer": "char_wb",
    "ngram_range": [2, 4],
    "lowercase": True,
    "features": 2**20,
    "weight": "1 + log(count)",
    "norm": "l2",
}


def vectors(texts: Sequence[str]) -> sparse.csr_matrix:
    """Unit vectors of the texts: (len(texts), 2**20), float64, one row each; a text without a word has a row of zeros.

    The row of a text is the same to the last bit whatever texts stand beside it.
    """
    counts = _ngram_counts(texts)
    counts.data = 1 + np.log(counts.data)
    lengths = np.sqrt(_row_sums(counts.multiply(counts)))
    lengths[lengths == 0] = 1
    counts.data /= np.repeat(lengths, np.diff(counts.indptr))
    return counts


def scores(texts: Sequence[str], left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float64]:
    """Cosines in [0, 1] of the pairs (texts[left[i]], texts[right[i]]); 0 where a text has no word."""
    rows = vectors(texts)
    return np.minimum(_row_sums(rows[left].multiply(rows[right])), 1.0)


def _ngram_counts(texts: Sequence[str]) -> sparse.csr_matrix:
    """How often each hashed n-gram occurs in each text: HashingVectorizer's counts, at a fraction of its time.

    With char_wb no n-gram crosses a space, so a text's counts are the sum of its words' counts, and each distinct word
    needs to be taken apart only once.
    """
    from scipy import sparse

    columns: dict[str, int] = {}
    indices: list[int] = []
    data: list[int] = []
    ends = [0]
    for text in texts:
        words = Counter(text.lower().split())
        indices += [columns.setdefault(word, len(columns)) for word in words]
        data += words.values()
        ends.append(len(indices))
    if not columns:
        return sparse.csr_matrix((len(texts), PARAMETERS["features"]), dtype=np.float64)
    words_of_texts = sparse.csr_matrix((np.array(data, np.float64), indices, ends), (len(texts), len(columns)))
    counts = words_of_texts @ _vectorizer().transform(list(columns))
    counts.sort_indices()  # sums then add their terms in one order, whatever the batch
    return counts


@cache
def _vectorizer() -> HashingVectorizer:
    with without_pandas():
        from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer=PARAMETERS["analyzer"],
        ngram_range=tuple(PARAMETERS["ngram_range"]),
        lowercase=PARAMETERS["lowercase"],
        n_features=PARAMETERS["features"],
        alternate_sign=False,  # counts must stay counts: a logarithm is taken of them
        norm=None,
    )


def _row_sums(matrix: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
