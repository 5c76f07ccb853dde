"""The metric bert-score: F1 of the bert-score package (Zhang et al., ICLR 2020, arXiv 1904.09675).

Texts come in, scores go out; each distinct text of a call is encoded once, however many pairs it is in. Needs the extra
`bert-score`. This module does not touch the database.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madetl.errors import MissingExtraError, ParameterError
from madetl.text import text_hash

NAME = "bert-score"
DEFAULT_MODEL = "microsoft/deberta-xlarge-mnli"
DEFAULT_BATCH_SIZE = 64

_UNLIMITED = 1_000_000  # tokenizers without a limit of their own say 10**30
_USUAL_LIMIT = 512

_Encoded = tuple[Any, Any]  # torch tensors: (tokens, dimensions), (tokens,)


class BertScore:
    """BERTScore with one encoder: `model` is its name on the Hugging Face hub, or a folder.

    `num_layers`: the layer whose output is compared; None: the package's choice for that model. `batch_size`: texts in
    one pass. The encoder is loaded at the first call of `scores`, onto the GPU if there is one.

    Raises MissingExtraError without the package, and ParameterError where model and layer do not fit.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, num_layers: int | None = None, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        self.model = _checked(model)
        self.num_layers = _package_layers(self.model) if num_layers is None else num_layers
        self.batch_size = batch_size
        self._cut: set[str] = set()

    @property
    def parameters(self) -> dict[str, Any]:
        """What a score depends on.

        Two runs that agree in it give the same scores up to the sixth decimal: which texts share a batch (so the batch
        size), and the machine, can change the sixth.
        """
        return {"model": self.model, "num_layers": self.num_layers}

    def scores(self, texts: Sequence[str], left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float64]:
        """F1 of the pairs (texts[left[i]], texts[right[i]]); 0 where a text is blank.

        Rounded to six decimals: further decimals depend on which texts share a batch (rarely, the sixth does, too).
        """
        used = [int(i) for i in np.unique(np.concatenate([left, right])) if texts[i].strip()]
        encoded = dict(zip(used, self._encode([texts[i] for i in used]), strict=True))
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        f1 = [_f1(encoded[a], encoded[b]) if a in encoded and b in encoded else 0.0 for a, b in pairs]
        return np.array(f1, dtype=np.float64).round(6)

    def remarks(self) -> list[str]:
        """What a reader of the scores should know: how many texts were longer than the encoder takes."""
        if not self._cut:
            return []
        limit = self._scorer._tokenizer.model_max_length
        return [f"Answers cut to the {limit} tokens that the model takes: {len(self._cut)}."]

    def _encode(self, texts: Sequence[str]) -> list[_Encoded]:
        """What the package compares of each text: a vector and a weight for each of its tokens."""
        if not texts:
            return []
        lengths = self._token_counts(texts)
        encoded: dict[int, _Encoded] = {}
        for some in np.array_split(np.argsort(lengths, kind="stable"), -(-len(texts) // self.batch_size)):
            vectors, mask, weights = _package().utils.get_bert_embedding(
                [texts[i] for i in some],
                self._scorer._model,
                self._scorer._tokenizer,
                self._weights,
                device=self._scorer.device,
            )
            for row, i in enumerate(some):
                tokens = int(mask[row].sum())
                encoded[int(i)] = vectors[row, :tokens], weights[row, :tokens]
        return [encoded[i] for i in range(len(texts))]

    def _token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text would have uncut; remembers those that are too long."""
        tokenizer = self._scorer._tokenizer
        tokens = tokenizer([text.strip() for text in texts], truncation=False, verbose=False)["input_ids"]
        limit = tokenizer.model_max_length
        self._cut |= {text_hash(text) for text, ids in zip(texts, tokens, strict=True) if len(ids) > limit}
        return [len(ids) for ids in tokens]

    @cached_property
    def _weights(self) -> dict[int, float]:
        """The package's weights without inverse document frequency: all tokens alike, the two at the ends nothing."""
        tokenizer = self._scorer._tokenizer
        return defaultdict(lambda: 1.0, {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0})

    @cached_property
    def _scorer(self) -> Any:
        scorer = _load(self.model, self.num_layers)
        tokenizer = scorer._tokenizer
        if tokenizer.model_max_length > _UNLIMITED:  # the package would pass it on, and overflow
            tokenizer.model_max_length = _position_limit(scorer._model)
        return scorer


def _f1(a: _Encoded, b: _Encoded) -> float:
    """The package's F1 of one pair.

    Pairs go one by one: where the package pads a pair in a batch, a token that is unlike every other (a negative
    cosine) counts 0 instead, and the score depends on what else is in the batch.
    """
    if not (a[1].any() and b[1].any()):  # nothing but the tokens at the ends
        return 0.0
    reference, candidate = (
        (vectors[None].clone(), vectors.new_ones(1, len(vectors)), weights[None].clone()) for vectors, weights in (b, a)
    )
    _, _, f1 = _package().utils.greedy_cos_idf(*reference, *candidate)
    return float(f1[0])


def _checked(model: str) -> str:
    """The model's name, or the full path of its folder: a relative one would be another metric elsewhere."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if model.startswith((".", "~", os.sep)) or model.count("/") > 1:
        raise ParameterError(f"{model}: there is no such folder. Give --model a folder, or a name on the hub.")
    return model


def _package_layers(model: str) -> int:
    layers = _package().utils.model2layers.get(model)
    if layers is None:
        most = getattr(_config(model), "num_hidden_layers", None)
        raise ParameterError(
            f"The bert-score package knows no best layer for the model {model}: "
            f"give --num-layers{f', from 1 to {most}' if most else ''}."
        )
    return int(layers)


def _load(model: str, num_layers: int) -> Any:
    scorer = _package().BERTScorer
    most = getattr(_config(model), "num_hidden_layers", None)
    if most is not None and num_layers > most:
        raise ParameterError(f"--num-layers {num_layers}: the model {model} has {most} layers.")
    try:
        return scorer(model_type=model, num_layers=num_layers)
    except (OSError, ValueError, ImportError) as error:
        raise ParameterError(_not_loaded(model, error)) from error


def _config(model: str) -> Any:
    """The encoder's configuration, which tells at once whether there is such a model."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ParameterError(_not_loaded(model, error)) from error


def _not_loaded(model: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"The model {model} cannot be loaded: {first} "
        "Give --model a folder that holds it, or a name on the hub while there is a connection."
    )


def _position_limit(model: Any) -> int:
    """How many tokens the encoder has positions for, where its tokenizer does not say."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return _USUAL_LIMIT
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)  # RoBERTa counts its positions from the padding's number on
    return int(positions) - (0 if padding is None else int(padding) + 1)


@cache
def _package() -> Any:
    try:
        import bert_score
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise MissingExtraError("The metric bert-score", "bert-score") from error
    loading: Any = transformers.utils.logging
    loading.disable_progress_bar()  # loading shows no bar of its own beside ours
    loading.set_verbosity_error()
    hub: Any = huggingface_hub.logging
    hub.set_verbosity_error()  # its retries would print six lines before ours
    return bert_score
