"""char-ngram: the cosine of logarithmic n-gram counts, the same for a pair of texts whatever stands beside them."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from madetl.metrics import char_ngram

TEXTS = st.lists(st.text(alphabet="abcdé 漢字かな\n\u2028ß", max_size=40), min_size=2, max_size=8)


def ngram_weights(text: str) -> dict[str, float]:
    """The definition, as plainly as can be: n-grams of 2 to 4 characters of ' word ', 1 + log of their counts."""
    counts: Counter[str] = Counter()
    for word in text.lower().split():
        padded = f" {word} "
        for n in (2, 3, 4):
            if len(padded) <= n:  # the whole of a short word counts once, and no longer n-gram of it exists
                counts[padded] += 1
                break
            counts.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    return {gram: 1 + math.log(count) for gram, count in counts.items()}


def cosine(a: str, b: str) -> float:
    left, right = ngram_weights(a), ngram_weights(b)
    lengths = [math.sqrt(sum(weight * weight for weight in weights.values())) for weights in (left, right)]
    if not all(lengths):
        return 0.0
    return sum(weight * right.get(gram, 0.0) for gram, weight in left.items()) / (lengths[0] * lengths[1])


def score(a: str, b: str) -> float:
    return float(char_ngram.scores([a, b], np.array([0]), np.array([1]))[0])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The quick brown fox", "The quick red fox jumps"),
        ("a I", "I a be"),
        ("今天天气很好,我们去公园吧。", "今天天气不好,我们去公园吗?"),
        ("ภาษาไทยไม่มีช่องว่าง", "ภาษาไทยมีวรรณยุกต์"),
        ("mississippi mississippi", "missing"),
    ],
)
def test_the_score_is_the_cosine_of_the_definition(a, b):
    assert score(a, b) == pytest.approx(cosine(a, b), abs=1e-12)
    assert 0 < score(a, b) < 1


def test_the_score_of_two_short_words_by_hand():
    # " ab " has the n-grams " a", "ab", "b ", " ab", "ab ", " ab "; " ac " shares " a" alone: 1 / 6.
    assert score("ab", "ac") == pytest.approx(1 / 6, abs=1e-12)


@given(TEXTS)
@settings(deadline=None, max_examples=60)
def test_the_counts_are_those_of_the_plain_vectorizer(texts):
    plain = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), alternate_sign=False, norm=None).transform(texts)
    plain.data = 1 + np.log(plain.data)
    expected = normalize(plain)
    assert abs(char_ngram.vectors(texts) - expected).max() < 1e-12


@pytest.mark.slow
@given(TEXTS)
@settings(deadline=None, max_examples=60)
def test_a_score_does_not_depend_on_the_batch_or_the_order(texts):
    left, right = (np.array(side) for side in zip(*[(i, j) for i in range(len(texts)) for j in range(i)], strict=True))
    together = char_ngram.scores(texts, left, right)
    assert together.tolist() == char_ngram.scores(texts, right, left).tolist()
    assert together.tolist() == [score(texts[i], texts[j]) for i, j in zip(left, right, strict=True)]


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_a_word_is_like_nothing(text):
    assert score(text, "word") == score(text, text) == 0.0
    assert char_ngram.vectors([text]).nnz == 0


def test_equal_texts_score_one_and_texts_in_other_scripts_nothing():
    assert score("同じ文です", "同じ文です") == pytest.approx(1.0, abs=1e-12)
    assert score("同じ文です", "other") == 0.0


def test_vectors_have_unit_length():
    rows = char_ngram.vectors(["one text", "another text, longer than the first"])
    assert rows.shape == (2, 2**20)
    assert np.asarray(rows.multiply(rows).sum(axis=1)).ravel() == pytest.approx([1.0, 1.0])
