"""The choice of a metric: for one name and its options, the run, the dry run and the forecast say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from madetl.asking.model_settings import ModelOptions
from madetl.errors import ParameterError
from madetl.similarity.measure import Measured
from madetl.similarity.run import Measurement, MetricChoice, first_requests
from tests.conftest import Study
from tests.support.provider_server import ProviderServer

MODELS = ("m1", "m2", "m3")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def answers(db: sqlite3.Connection) -> sqlite3.Connection:
    """Answers of three models to 40 instructions, all different and of more than 20 words; char-ngram has measured."""
    study = Study(db)
    for number in range(40):
        instruction = study.instruction(f"instruction {number}")
        for model in MODELS:
            study.response(instruction, model, f"{model} says {number} and then " + "some more words " * 8)
    Measurement(db, MetricChoice("char-ngram")).run()
    return db


@pytest.mark.parametrize(
    ("name", "options", "requests"),
    [
        ("text-embedding-3-small", {}, 2),  # 120 texts, at most 100 in a request
        ("gpt-4.1", {}, 120),  # three pairs of models, 40 instructions
        ("gpt-4.1", {"prefilter": "char-ngram:15"}, 45),
        ("gpt-4.1", {"prefilter": "char-ngram:1000", "temperature": 0.3, "min_words": 5}, 120),
    ],
)
def test_forecast_dry_run_and_run_agree(answers, server, name, options, requests):
    choice = MetricChoice(name, options=options)
    address = ModelOptions(provider="openai", base_url=f"{server.url}/v1")
    measurement = Measurement(answers, choice, model_options=lambda name: address)
    assert first_requests(answers, choice, len(MODELS), 40) == requests
    dry = measurement.dry_run()
    assert dry is not None
    assert dry.requests == requests
    assert not server.requests
    assert measurement.run().report.requests == requests


def test_what_is_computed_asks_nobody(answers):
    choice = MetricChoice("char-ngram", options={"temperature": 0.5})
    measurement = Measurement(answers, choice)
    assert first_requests(answers, choice, 3, 40) is None
    assert measurement.dry_run() is None
    assert measurement.judgments_after(10) == 30
    assert list(measurement.warnings()) == []
    assert isinstance(measurement.run(), Measured)


def test_a_dry_run_of_an_unknown_metric_is_an_error(answers):
    with pytest.raises(ParameterError, match="No metric is called 'bleu'"):
        Measurement(answers, MetricChoice("bleu")).dry_run()
