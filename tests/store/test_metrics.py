"""A metric is found by the name that a person gives it, and the message lists what there is where it is not."""

import pytest

from madetl.errors import ParameterError
from madetl.store.metrics import ensure_metric, existing_metric, find_metric, metric_label


def test_the_same_parameters_are_the_same_metric_whatever_their_order(db):
    first = ensure_metric(db, "bert-score", {"model": "m", "layers": 6})
    assert ensure_metric(db, "bert-score", {"layers": 6, "model": "m"}) == first
    assert existing_metric(db, "bert-score", {"layers": 6, "model": "m"}) == first
    assert ensure_metric(db, "bert-score", {"layers": 7, "model": "m"}) != first
    assert existing_metric(db, "bert-score", {}) is None


def test_a_metric_is_found_by_its_name(db):
    metric = ensure_metric(db, "char-ngram")
    assert find_metric(db, "char-ngram") == metric
    assert metric_label(db, metric) == "char-ngram"


def test_an_unknown_name_lists_the_known_ones(db):
    with pytest.raises(ParameterError, match="nothing has been measured yet"):
        find_metric(db, "char-ngram")
    ensure_metric(db, "char-ngram")
    with pytest.raises(ParameterError, match=r"'bertscore'.*This database has: char-ngram"):
        find_metric(db, "bertscore")


def test_a_shared_name_needs_the_hash_and_the_message_shows_it(db):
    six = ensure_metric(db, "bert-score", {"layers": 6})
    seven = ensure_metric(db, "bert-score", {"layers": 7})
    with pytest.raises(ParameterError, match=r'bert-score@\w{8} {"layers": 6}; bert-score@\w{8} {"layers": 7}'):
        find_metric(db, "bert-score")
    assert find_metric(db, metric_label(db, six)) == six
    assert find_metric(db, metric_label(db, seven).upper().replace("BERT-SCORE", "bert-score")) == seven
    with pytest.raises(ParameterError, match="No metric is called 'bert-score@'"):
        find_metric(db, "bert-score@")


def test_a_name_may_hold_an_at_sign_itself(db):
    metric = ensure_metric(db, "judge@home")
    assert find_metric(db, "judge@home") == metric
