"""How a model is asked: what its row keeps, what the command line says for one run, and what may not change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from madetl.asking import model_settings
from madetl.asking.model_settings import ModelOptions
from madetl.asking.prices import Price
from madetl.errors import InputError, ParameterError
from madetl.store.database import transaction
from madetl.text import text_hash
from tests.conftest import Study
from tests.support.provider_bodies import ReceivedRequest
from tests.support.provider_server import ProviderServer

Madetl = Callable[..., CompletedProcess[str]]


def add(db: sqlite3.Connection, name: str, **changes: Any) -> model_settings.AskedModel:
    with transaction(db):
        return model_settings.add(db, name, changes)


def row(db: sqlite3.Connection, name: str = "m") -> dict[str, Any]:
    found = dict(db.execute("SELECT * FROM models WHERE name = ?", (name,)).fetchone())
    return found | {"settings": json.loads(found["settings"])}


def answered(study: Study, name: str = "m") -> None:
    """The model has an answer that was asked for."""
    model_id = study.model(name)
    call = study.db.execute(
        "INSERT INTO calls (stage, model_id, request_hash, outcome, answer) VALUES ('inference', ?, ?, 'ok', 'a')",
        (model_id, text_hash(name)),
    ).lastrowid
    response = study.response(study.instruction("ask"), name, "a")
    study.db.execute("UPDATE responses SET call_id = ? WHERE id = ?", (call, response))


# Who is asked


@pytest.mark.parametrize(
    ("name", "model_options", "provider"),
    [
        ("gpt-4.1", ModelOptions(), "openai"),
        ("o3-mini", ModelOptions(), "openai"),
        ("text-embedding-3-small", ModelOptions(), "openai"),
        ("gemini-pro", ModelOptions(), "gemini"),
        ("gemini-2.5-pro", ModelOptions(base_url="http://127.0.0.1:1"), "gemini"),
        ("Qwen/Qwen3-8B", ModelOptions(), "vllm"),
        ("Qwen/Qwen3-8B", ModelOptions(base_url="http://127.0.0.1:1/v1"), "openai"),  # what has an address is a server
        ("my-model", ModelOptions(base_url="http://127.0.0.1:1/v1"), "openai"),
        ("my-model", ModelOptions(provider="gemini"), "gemini"),
    ],
)
def test_provider_follows_from_the_name_unless_it_is_given(db, name, model_options, provider):
    assert model_settings.find(db, name, model_options).endpoint.provider == provider


def test_a_folder_is_a_model_of_vllm_wherever_madetl_runs(db, tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    added = add(db, "tiny", model_id="./tiny", options={"max_model_len": 512})
    assert (added.endpoint.provider, added.endpoint.model_id) == ("vllm", str(tmp_path / "tiny"))
    assert added.endpoint.options == {"max_model_len": 512}


@pytest.mark.parametrize(
    ("name", "model_options", "words"),
    [
        ("nobody", ModelOptions(), "Who is to be asked for 'nobody'"),
        ("  ", ModelOptions(), "empty"),
        ("m", ModelOptions(base_url="http://me:secret@host/v1"), "name or password"),
        ("m", ModelOptions(base_url="host:8000"), "not a base URL"),
        ("gpt-4.1", ModelOptions(trust_remote_code=True), "--provider vllm"),
    ],
)
def test_what_cannot_be_asked_is_an_error(db, name, model_options, words):
    with pytest.raises(ParameterError, match=words) as error:
        model_settings.find(db, name, model_options)
    assert "secret" not in str(error.value)


def test_finding_writes_nothing_and_registering_keeps_the_address(db):
    # given a model that is new, with an address
    model = model_settings.find(db, "m", ModelOptions(base_url="http://127.0.0.1:8000/v1"))
    assert db.execute("SELECT count(*) FROM models").fetchone()[0] == model.id == 0
    # when it is asked for the first time, then its row says who and where
    with transaction(db):
        model = model_settings.register(db, model)
    assert model.id == row(db)["id"]
    assert (row(db)["provider"], row(db)["base_url"]) == ("openai", "http://127.0.0.1:8000/v1")
    assert model_settings.find(db, "m").endpoint.base_url == "http://127.0.0.1:8000/v1"


def test_another_address_later_holds_for_the_run_alone(db, study):
    add(db, "m", base_url="http://127.0.0.1:8000/v1")
    answered(study)
    model = model_settings.find(db, "m", ModelOptions(base_url="http://127.0.0.1:9000/v1"))
    with transaction(db):
        model_settings.register(db, model)
    assert model.endpoint.base_url == "http://127.0.0.1:9000/v1"
    assert row(db)["base_url"] == "http://127.0.0.1:8000/v1"


# What a database that somebody sent may not do


def test_a_row_names_no_key_and_trusts_no_code(db):
    # given a row whose settings ask for a variable and for code that comes with the model
    settings = {"options": {"trust_remote_code": True, "key_env": "AWS_SECRET", "dtype": "float32"}, "key_env": "HOME"}
    db.execute(
        "INSERT INTO models (name, provider, base_url, settings) VALUES ('m', 'vllm', NULL, ?)", (json.dumps(settings),)
    )
    # when it is read, then neither reaches the provider
    endpoint = model_settings.find(db, "m").endpoint
    assert (endpoint.key_env, endpoint.options) == (None, {"dtype": "float32"})
    assert "key_env" not in row(db)
    # but the command line may say both
    model_options = ModelOptions(key_env="MY_KEY", trust_remote_code=True)
    assert model_settings.find(db, "m", model_options).endpoint.key_env == "MY_KEY"
    assert model_settings.find(db, "m", model_options).endpoint.options["trust_remote_code"] is True


def test_the_default_key_does_not_go_to_an_address_of_the_database(db, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-secret")
    add(db, "gpt-4.1", base_url="http://127.0.0.1:1/v1")
    model_settings.check_access(model_settings.find(db, "gpt-4.1"))  # asked, without the key
    with pytest.raises(ParameterError, match="does not go to") as error:
        model_settings.check_access(model_settings.find(db, "gpt-4.1", ModelOptions(key_env="OPENAI_API_KEY")))
    assert "sk-secret" not in str(error.value)


def test_a_row_cannot_change_who_is_asked_and_what_it_costs(db):
    body = {"model": "o1-pro", "n": 100, "max_completion_tokens": 10**6, "reasoning_effort": "low"}
    settings = json.dumps({"options": {"extra_body": body}})
    db.execute("INSERT INTO models (name, provider, settings) VALUES ('m', 'openai', ?)", (settings,))
    assert model_settings.find(db, "m").endpoint.options == {"extra_body": {"reasoning_effort": "low"}}
    with pytest.raises(ParameterError, match="extra_body cannot say 'model'"):
        add(db, "other", provider="openai", options={"extra_body": body})


# What may change


def test_what_is_not_said_stays(db):
    add(db, "m", provider="openai", temperature=0.5, price_in=1.0, options={"extra_body": {"a": 1}})
    db.execute("UPDATE models SET settings = json_set(settings, '$.omit', json('[\"top_p\"]'))")
    add(db, "m", price_out=2.0, max_tokens=10)
    assert row(db)["settings"] == {
        "temperature": 0.5, "max_tokens": 10, "options": {"extra_body": {"a": 1}}, "omit": ["top_p"]
    }  # fmt: skip
    assert (row(db)["price_in"], row(db)["price_out"]) == (1.0, 2.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "gemini"},
        {"model_id": "else"},
        {"temperature": 0.7},
        {"system_prompt": "Be brief."},
        {"options": {"extra_body": {"a": 2}}},
    ],
)
def test_what_answers_hang_on_stands(db, study, changes):
    # given a model without an answer, then everything may change
    add(db, "m", provider="openai", temperature=0.0)
    add(db, "m", **changes)
    add(db, "other", provider="openai", temperature=0.0)
    # but with one, another setting is another name
    answered(study, "other")
    before = row(db, "other")
    with pytest.raises(ParameterError, match="madetl models add NEW-NAME --model-id"):
        add(db, "other", **changes)
    assert row(db, "other") == before
    add(db, "other", price_in=3.0, base_url="http://127.0.0.1:2/v1", temperature=0.0)


def test_answers_out_of_files_settle_nothing(db, study):
    study.response(study.instruction("ask"), "gpt-4", "an imported answer")
    assert add(db, "gpt-4", temperature=0.7).answering == {"temperature": 0.7}


def test_settings_that_differ_from_those_kept_are_an_error(db):
    add(db, "m", provider="openai", temperature=0.5)
    model = model_settings.find(db, "m")
    settled = model_settings.answering(model, {"max_tokens": 99}, {"temperature": 0.0, "max_tokens": 2048})
    assert {name: value for name, value in settled.items() if value is not None} == {
        "temperature": 0.5, "max_tokens": 99,
    }  # fmt: skip
    assert set(settled) == set(model_settings.ANSWERING)
    message = (
        r"with --temperature 0\.5, not with --temperature 0\.0\. .*madetl models add m --temperature 0\.0 changes it"
    )
    with pytest.raises(ParameterError, match=message):
        model_settings.answering(model, {"temperature": 0.0}, {})


@pytest.mark.parametrize(
    ("kept", "changes", "message"),
    [
        (
            {"temperature": 0.0},
            {"temperature": 0.7},
            "m was asked with --temperature 0.0 so far; with --temperature 0.7 it would be another model. Leave that "
            "option out, or ask it under another name: madetl models add NEW-NAME --model-id m --temperature 0.7",
        ),
        ({}, {"stop": ["\n\n", "END"]}, "m was asked without --stop so far; with --stop '\n\n' --stop END it would be"),
        ({"system_prompt": "Be brief."}, {"system_prompt": "Be long."}, 'with the system prompt "Be brief." so far'),
        ({}, {"system_prompt": "Be long."}, "m was asked without --system-prompt so far"),
        ({}, {"provider": "gemini"}, "with --provider openai so far; with --provider gemini"),
        ({}, {"model_id": "else"}, "under another name: madetl models add NEW-NAME --model-id else"),
        (
            {"options": {"extra_body": {"a": 1}}},
            {"options": {"extra_body": {"a": 2}}},
            """with --option 'extra_body={"a": 1}' so far; with --option 'extra_body={"a": 2}' it would be""",
        ),
        ({}, {"options": {"extra_body": {"a": 2}}}, "m was asked without --option extra_body so far"),
    ],
)
def test_a_refused_setting_is_named_with_what_to_do(db, study, kept, changes, message):
    """Setting by setting as the command line gives it; the command that is shown is one that can be run."""
    add(db, "m", provider="openai", **kept)
    answered(study)
    with pytest.raises(ParameterError) as error:
        add(db, "m", **changes)
    assert message in str(error.value)


def test_penalties_and_stops_are_kept_like_the_temperature(db, study, madetl: Madetl):
    madetl(
        "models", "add", "m", "--provider", "openai", "--presence-penalty", 0.5, "--frequency-penalty", -1,
        "--stop", "END", "--stop", "\n\n",
    )  # fmt: skip
    assert row(db)["settings"] == {"presence_penalty": 0.5, "frequency_penalty": -1.0, "stop": ["END", "\n\n"]}
    [shown] = json.loads(madetl("models", "--json").stdout)
    assert shown["settings"] == row(db)["settings"]
    assert "an empty text" in madetl("models", "add", "m", "--stop", "", status=2).stderr
    assert "-2<=x<=2" in madetl("models", "add", "m", "--presence-penalty", 3, status=2).stderr
    # a model whose answers were asked for before there were such settings was asked without
    add(db, "other", provider="openai", temperature=0.0)
    answered(study, "other")
    with pytest.raises(ParameterError, match="without --stop so far"):
        model_settings.answering(model_settings.find(db, "other"), {"stop": ["END"]}, {})


def test_safety_is_geminis_and_may_change(db, study):
    """It decides whether an answer is held back, not what it says: whoever switches it keeps the answers they have."""
    with transaction(db):
        model_settings.register(db, model_settings.find(db, "gemini-2.5-pro", ModelOptions(safety="default")))
    answered(study, "gemini-2.5-pro")
    assert row(db, "gemini-2.5-pro")["settings"] == {"options": {"safety": "default"}}
    assert model_settings.find(db, "gemini-2.5-pro").endpoint.options == {"safety": "default"}
    add(db, "gemini-2.5-pro", options={"safety": "block-none"})
    assert model_settings.find(db, "gemini-2.5-pro").endpoint.options == {"safety": "block-none"}
    with pytest.raises(ParameterError, match="--safety is for Gemini"):
        model_settings.find(db, "gpt-4.1", ModelOptions(safety="default"))
    with pytest.raises(ParameterError, match="safety is block-none or default, not off"):
        add(db, "gemini-2.5-pro", options={"safety": "off"})


def test_the_providers_name_is_given_once_and_stands(db, study):
    # given a model that nobody asked yet, its name at the provider may be given, and given again
    for model_id in ("first", "second"):
        with transaction(db):
            found = model_settings.register(db, model_settings.find(db, "m", ModelOptions("openai", model_id)))
        assert (found.endpoint.model_id, row(db)["model_id"]) == (model_id, model_id)
    # but not once it has answers
    answered(study)
    assert model_settings.find(db, "m", ModelOptions(model_id="second")).endpoint.model_id == "second"
    with pytest.raises(ParameterError, match="with --model-id second so far; with --model-id third"):
        model_settings.find(db, "m", ModelOptions(model_id="third"))


def test_unknown_option_of_a_provider_is_an_error(db):
    with pytest.raises(ParameterError, match="trust_remote_code"):
        add(db, "m", provider="vllm", options={"trust_remote_code": True})


# What it costs


def test_the_nearest_price_counts(db, tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text('[openai.prices]\n"gpt-4.1" = [5.0, 6.0]\n')
    assert model_settings.find(db, "gpt-4.1").price.per_million_in == 2.0  # madetl's own table
    assert model_settings.find(db, "gpt-4.1", ModelOptions(prices=file)).price.per_million_in == 5.0
    add(db, "gpt-4.1", price_in=7.0)
    assert model_settings.find(db, "gpt-4.1", ModelOptions(prices=file)).price.per_million_in == 7.0
    found = model_settings.find(db, "gpt-4.1", ModelOptions(prices=file, price_in=0.0)).price
    assert (found.per_million_in, found.per_million_out) == (0.0, 6.0)


def test_the_price_is_that_of_the_providers_name(db):
    found = model_settings.find(db, "mine", ModelOptions("openai", "gpt-4.1"))
    assert found.price == model_settings.find(db, "gpt-4.1").price
    assert found.price.per_million_in == 2.0


@pytest.mark.parametrize("name", ["gpt-4.1", "gemini-2.5-pro"])
def test_another_server_is_not_billed_at_the_providers_price(db, tmp_path, name, monkeypatch):
    # given a name that stands in madetl's table and in the user's own
    file = tmp_path / "prices.toml"
    file.write_text('[openai.prices]\n"gpt-4.1" = [5.0, 6.0]\n[gemini.prices]\n"gemini-2.5-pro" = [5.0, 6.0]\n')
    for address in ("http://127.0.0.1:8000/v1", "https://api.openai.com.example.org/v1", "http://api.openai.com/v1"):
        for options in (ModelOptions(base_url=address), ModelOptions(base_url=address, prices=file)):
            assert model_settings.find(db, name, options).price == Price()
    # then a price that was given counts there, and the table's at the provider's own address
    given = ModelOptions(base_url="http://127.0.0.1:8000/v1", price_in=1.0, price_out=2.0)
    assert model_settings.find(db, name, given).price == Price(1.0, 2.0)
    home = {"gpt-4.1": "https://eu.api.openai.com/v1/", "gemini-2.5-pro": "https://generativelanguage.googleapis.com"}
    assert model_settings.find(db, name, ModelOptions(base_url=home[name])).price.per_million_in is not None
    # and an address out of the environment is an address
    for variable in ("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:8000/v1")
    assert model_settings.find(db, name).price == Price()
    add(db, name, price_in=3.0, price_out=4.0)
    assert model_settings.find(db, name).price == Price(3.0, 4.0)


def test_the_cost_at_another_server_is_unknown_everywhere(db, study, madetl: Madetl):
    study.instruction("Say something.")
    with ProviderServer() as server:
        infer = ("infer", "--model", "gpt-4.1", "--base-url", f"{server.url}/v1")
        assert "unknown: no price" in madetl(*infer, "--dry-run").stdout
        assert f"gpt-4.1 at {server.url}/v1, which is unknown" in madetl(*infer, "--max-cost", 1, status=1).stderr
        assert server.counts.requests == 0
        assert "cost unknown for 1 answer" in madetl(*infer).stderr
        [row] = json.loads(madetl("query", "spend", "--json").stdout)
        assert (row["calls"], row["tokens_in"] > 0, row["cost"]) == (1, True, None)


def test_max_cost_names_the_server_that_the_environment_names(db, study, madetl: Madetl, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    study.instruction("Say something.")
    told = madetl("infer", "--model", "gpt-4.1", "--max-cost", 1, status=1).stderr
    assert "the price of gpt-4.1 at http://127.0.0.1:9/v1, which is unknown" in told


@pytest.mark.parametrize(("mode", "outcome"), [("no-choices", "invalid"), ("bomb", "invalid"), ("odd", "empty")])
def test_spend_and_the_run_agree_that_nobody_knows_the_cost(db, study, madetl: Madetl, mode, outcome):
    study.instruction("Say something.")
    with ProviderServer(mode=mode, odd=without_usage) as server:
        model = ("--model", "m", "--provider", "openai", "--base-url", f"{server.url}/v1")
        price = ("--price-in", 1, "--price-out", 1)
        told = madetl("infer", *model, *price, "--max-attempts", 1, status=1).stderr
    assert "cost unknown for 1 answer" in told
    assert db.execute("SELECT outcome FROM calls").fetchone()[0] == outcome
    [row] = json.loads(madetl("query", "spend", "--json").stdout)
    assert (row["calls"], row["cost"]) == (1, None)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "option",
    ["--temperature", "--top-p", "--presence-penalty", "--frequency-penalty", "--max-cost", "--price-in", "--timeout"],
)
def test_an_option_takes_no_number_that_is_none(db, madetl: Madetl, option, number):
    told = madetl("infer", "--model", "gpt-4.1", f"{option}={number}", status=2).stderr
    assert f"Invalid value for '{option}'" in told


@pytest.mark.parametrize("value", ["NaN", "1e999", '{"x": [-Infinity]}'])
def test_an_option_of_a_provider_holds_numbers_alone(db, madetl: Madetl, value):
    told = madetl("models", "add", "m", "--provider", "openai", "--option", f"extra_body={value}", status=2).stderr
    assert "no numbers of JSON" in told


def without_usage(_: ReceivedRequest, body: dict[str, Any]) -> dict[str, Any]:
    """An answer without text, of which nobody says what it took."""
    body["choices"][0]["message"]["content"] = ""
    return {name: value for name, value in body.items() if name != "usage"}


def test_an_unreadable_file_of_prices_is_an_error(db):
    with pytest.raises(InputError, match=r"absent\.toml"):
        model_settings.find(db, "gpt-4.1", ModelOptions(prices=Path("absent.toml")))


# The command


def test_models_are_kept_and_listed(db, madetl: Madetl, tmp_path):
    (tmp_path / "system.txt").write_text("Answer in one word.\n")
    done = madetl(
        "models", "add", "brief", "--model-id", "gpt-4.1", "--system-prompt", tmp_path / "system.txt",
        "--temperature", 1, "--max-tokens", 50, "--option", 'extra_body={"seed": 1}',
    )  # fmt: skip
    assert done.stdout == "brief is asked as gpt-4.1 of openai.\n"
    [listed] = json.loads(madetl("models", "--json").stdout)
    assert (listed["model"], listed["model_id"], listed["system_prompt"]) == ("brief", "gpt-4.1", "Answer in one word.")
    assert listed["settings"] == {"temperature": 1.0, "max_tokens": 50, "options": {"extra_body": {"seed": 1}}}
    assert "temperature 1.0, max_tokens 50" in madetl("models").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nobody"], 1, "Who is to be asked"),
        (["m", "--provider", "openai", "--temperature", "3"], 2, "0<=x<=2"),
        (["m", "--provider", "openai", "--option", "seed"], 2, "NAME=VALUE"),
        (["m", "--provider", "openai", "--option", "foo=1"], 1, "no option 'foo'"),
        (["m", "--provider", "openai", "--option", "extra_body=low"], 1, "a JSON object"),
        (["m", "--provider", "openai", "--base-url", "http://a:b@c"], 1, "name or password"),
        (["m", "--provider", "openai", "--price-in", "-1"], 2, "--price-in"),
        (["m", "--provider", "openai", "--system-prompt", "absent.txt"], 2, "absent.txt"),
    ],
)
def test_bad_input_is_one_line(db, madetl: Madetl, arguments, status, words):
    assert words in madetl("models", "add", *arguments, status=status).stderr
    assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 0
