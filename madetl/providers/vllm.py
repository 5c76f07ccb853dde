"""Answers with a model in this process, through `vllm.LLM.chat` and the model's own chat template.

The caller decides on the chunks. A request that cannot be answered (too long a prompt, a system prompt that the
template refuses) is an error of its own; the others of its chunk are answered all the same. Code that comes with a
model runs only where the option `trust_remote_code` is True.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from madetl.errors import ParameterError
from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, Outcome, ProviderError
from madetl.providers.messages import messages
from madetl.providers.messages import sampling as given_sampling
from madetl.providers.reading import Part, Reply, Vector
from madetl.text import counted

_ENGINE_OPTIONS = (
    "dtype", "enforce_eager", "gpu_memory_utilization", "max_model_len", "max_num_batched_tokens", "quantization",
    "revision", "seed", "structured_outputs_config", "tokenizer",
)  # fmt: skip
_OUTCOMES: dict[str | None, Outcome] = {"stop": "ok", "length": "truncated", "abort": "interrupted"}
_LONGEST_MESSAGE = 500  # characters


class VllmProvider:
    """One model, loaded at the first request.

    `options` of the endpoint: `chat_template` (its text, or a file), `chat_template_kwargs`, `trust_remote_code`,
    `tensor_parallel_size` (default: as many GPUs as there are and the model divides into), and of vLLM's own `dtype`,
    `enforce_eager`, `gpu_memory_utilization`, `max_model_len`, `max_num_batched_tokens`, `quantization`, `revision`,
    `seed`, `structured_outputs_config`, `tokenizer`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._template = _template(endpoint.options.get("chat_template"))
        self._engine: Any = None
        self._runner = ""

    def chat_many(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer | ProviderError]:
        """Answers in the order of the requests. An answer's latency is its share of the chunk's time."""
        engine = self._open("generate")
        started = time.perf_counter()
        refused = {index: error for index, request in enumerate(requests) if (error := self._refused(request))}
        asked = [request for index, request in enumerate(requests) if index not in refused]
        outputs = iter(self._ask(engine, asked) if asked else [])
        answers = [refused[index] if index in refused else next(outputs) for index in range(len(requests))]
        share = (time.perf_counter() - started) / max(1, len(requests))
        return [self._answer(answer, share) for answer in answers]

    def embed_many(self, texts: Sequence[str]) -> Embeddings:
        """Embeds a batch; a text over the model's limit is cut at it. Raises ProviderError."""
        engine = self._open("pooling")
        started, limit = time.perf_counter(), engine.model_config.max_model_len
        tokens = [list(ids) for ids in engine.get_tokenizer()(list(texts))["input_ids"]]
        try:
            found = list(engine.embed([{"prompt_token_ids": ids[:limit]} for ids in tokens], use_tqdm=False))
        except Exception as error:  # vLLM's errors have had several names
            raise _failure(error) from None
        count = sum(min(len(ids), limit) for ids in tokens)
        reply = Reply({"outputs": found}, None, time.perf_counter() - started)
        rows = reply.fitted(_Pooled, tokens_in=count).outputs
        cut, version = [len(ids) > limit for ids in tokens], self._endpoint.model_id
        return reply.embeddings([row.outputs.embedding for row in rows], cut, version, count)

    def close(self) -> None:
        """Ends the engine's processes and frees the GPUs."""
        if self._engine is not None:
            self._engine.llm_engine.engine_core.shutdown()
            self._engine = None

    def _open(self, runner: str) -> Any:
        """The engine, for answers or for embeddings: vLLM loads a model for one of them."""
        if self._runner != runner:
            self.close()
            self._engine, self._runner = _load(self._endpoint, runner), runner
        return self._engine

    def _refused(self, request: ChatRequest) -> ProviderError | None:
        """Why a request cannot be answered: found out beforehand, since vLLM gives up the whole chunk for it."""
        limit = self._engine.model_config.max_model_len
        try:
            ids = self._engine.get_tokenizer().apply_chat_template(
                messages(request, self._endpoint),
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                **self._template_settings(),
            )
        except Exception as error:  # a template may raise anything
            return _failure(error)
        if len(ids) < limit:
            return None
        message = f"the prompt has {len(ids)} tokens and the model takes {limit - 1}"
        hint = "A larger max_model_len helps where the model itself allows it."
        return ProviderError(message, outcome="client_error", tokens_in=len(ids), hint=hint)

    def _ask(self, engine: Any, requests: Sequence[ChatRequest]) -> list[Any]:
        """vLLM's outputs, or an error in the place of each request that it does not take."""
        try:
            outputs = list(
                engine.chat(
                    [messages(request, self._endpoint) for request in requests],
                    [_sampling(engine, request, self._endpoint) for request in requests],
                    use_tqdm=False,
                    chat_template=self._template,
                    chat_template_kwargs=self._template_settings(),
                )
            )
        except Exception as error:  # vLLM's errors have had several names
            failure = _failure(error)
        else:
            if len(outputs) == len(requests):
                return outputs
            failure = Reply(None, None, 0.0).invalid(
                f"{counted(len(outputs), 'answer')} came for {counted(len(requests), 'question')}"
            )
        if len(requests) == 1 or failure.fatal:
            return [failure] * len(requests)
        return [output for request in requests for output in self._ask(engine, [request])]

    def _template_settings(self) -> dict[str, Any]:
        return dict(self._endpoint.options.get("chat_template_kwargs") or {})

    def _answer(self, output: Any, latency: float) -> ChatAnswer | ProviderError:
        if isinstance(output, ProviderError):
            output.latency = latency
            return output
        reply = Reply(output, None, latency)
        try:
            found = reply.fitted(_Output)
        except ProviderError as error:
            return error
        first, tokens_in = found.outputs[0], found.prompt_token_ids
        outcome = _OUTCOMES.get(first.finish_reason, "ok") if first.text.strip() else "empty"
        version = self._endpoint.model_id
        return ChatAnswer(first.text, outcome, first.finish_reason, version, tokens_in, first.token_ids, latency)


def _length(tokens: Any) -> int:
    """How many tokens a list of vLLM's holds; its class has changed."""
    if tokens is None:
        return 0
    if isinstance(tokens, Sized) and not isinstance(tokens, str | dict):
        return len(tokens)
    raise ValueError("input should be a list of tokens")


_Length = Annotated[int, BeforeValidator(_length)]


class _EnginePart(Part):
    model_config = ConfigDict(from_attributes=True)


class _CompletionOutput(_EnginePart):
    text: str
    token_ids: _Length
    finish_reason: str | None = None


class _Output(_EnginePart):
    outputs: Annotated[list[_CompletionOutput], Field(min_length=1)]
    prompt_token_ids: _Length = 0


class _Embedding(_EnginePart):
    embedding: Vector


class _PooledOutput(_EnginePart):
    outputs: _Embedding


class _Pooled(_EnginePart):
    outputs: list[_PooledOutput]


def parallel_size(gpus: int, heads: int) -> int:
    """Over how many GPUs a model goes: the most that its attention heads can be dealt to evenly; 1 without a GPU."""
    return max((count for count in range(1, gpus + 1) if heads % count == 0), default=1)


def _load(endpoint: Endpoint, runner: str) -> Any:
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # results go to the standard output
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    import vllm

    options = {name: endpoint.options[name] for name in _ENGINE_OPTIONS if endpoint.options.get(name) is not None}
    trusted = endpoint.options.get("trust_remote_code") is True
    parallel = endpoint.options.get("tensor_parallel_size") or parallel_size(*_gpus_and_heads(endpoint, trusted))
    try:
        return vllm.LLM(
            model=endpoint.model_id, runner=runner, tensor_parallel_size=parallel, trust_remote_code=trusted, **options
        )
    except Exception as error:  # transformers, torch and vLLM each have their own
        failure = _failure(error)
    hint = "Is it a folder that holds a model, or a name that its hub knows, and does it fit into memory?"
    raise ProviderError(f"{endpoint.model_id}: {failure}", outcome="client_error", fatal=True, hint=hint)


def _gpus_and_heads(endpoint: Endpoint, trusted: bool) -> tuple[int, int]:
    import torch

    gpus = torch.cuda.device_count()
    if gpus < 2:
        return gpus, 1
    from transformers import AutoConfig

    settings = AutoConfig.from_pretrained(endpoint.model_id, trust_remote_code=trusted)
    return gpus, int(settings.get_text_config().num_attention_heads)


def _sampling(engine: Any, request: ChatRequest, endpoint: Endpoint) -> Any:
    """Sampling parameters: the model's own defaults, and what the request gives instead."""
    from vllm.sampling_params import StructuredOutputsParams

    sampling = engine.get_default_sampling_params()
    sampling.max_tokens = None  # up to the model's length: vLLM's own default is 16
    for name, value in given_sampling(request, endpoint).items():
        setattr(sampling, name, value)
    if request.schema is not None and "response_format" not in endpoint.omit:
        sampling.structured_outputs = StructuredOutputsParams(json=request.schema)
    return sampling


def _template(given: str | None) -> str | None:
    """A chat template: the text itself, or what a file of that name holds."""
    if given is None or "{" in given:
        return given
    if not Path(given).is_file():
        raise ParameterError(f"There is no chat template {given}.")
    return Path(given).read_text(encoding="utf-8")


def _failure(error: Exception) -> ProviderError:
    """The engine's end stops everything; anything else is about the one request."""
    words = " ".join(str(error).split()) or type(error).__name__
    dead = "Dead" in type(error).__name__
    return ProviderError(words[:_LONGEST_MESSAGE], outcome="server_error" if dead else "client_error", fatal=dead)
