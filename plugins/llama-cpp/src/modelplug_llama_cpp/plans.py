"""From a deployment to the plan of each runtime; pure but for reading the weights' head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelplug.errors import ConfigError, Unsupported
from modelplug.types import Deployment, Memory, ModelType, Plan
from modelplug_llama_cpp.memory import memory_of
from modelplug_llama_cpp.options import LLAMA_CPP_PYTHON, LOOKUP, Options
from modelplug_local.runners import TOKEN_VARIABLE, runner_plan
from modelplug_local.threads import default_threads
from modelplug_local.weights.gguf import read_head
from modelplug_local.weights.places import projector_of

RUNNER = Path(__file__).with_name("serve.py")
VECTORS = Path(__file__).with_name("serve_vectors.py")

SLOTS = 4
CONTEXT = 4096
"""Tokens for one request where the weights allow more: memory for the cache of all slots is
taken at the start, 128 KiB a token for an 8B Llama."""

BATCH = 2048
START_TIMEOUT = 600.0
"""Seconds: a large model on a slow disk takes minutes to read."""

# ggml.h
_GGML_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}
# llama.h; -1: as the weights say.
_POOLINGS = {"": -1, "mean": 1, "cls": 2, "last": 3, "rank": 4}


def xllamacpp_plan(deployment: Deployment, options: Options) -> Plan:
    """llama.cpp's own server, run by serve.py, which any interpreter with xllamacpp can."""
    weights = deployment.weights
    context, slots = _context(deployment, options), options.slots or SLOTS
    projector = _projector(deployment, options)
    adapters = [(_existing("lora", path), scale) for path, scale in options.lora]
    draft = options.draft if options.draft == LOOKUP else _existing("draft", options.draft)
    settings = {
        "model": str(weights.path),
        "host": deployment.host,
        "port": deployment.port,
        "alias": weights.name,
        "type": str(weights.type),
        "context": context,
        "slots": slots,
        "threads": options.threads or default_threads(),
        "gpu_layers": options.gpu_layers,
        "main_gpu": options.main_gpu,
        # A text for a vector or a score must fit into one batch: its attention goes both ways.
        "batch": options.batch or (BATCH if weights.type.chats else context),
        "cache_type": options.cache_type,
        "flash_attention": options.flash_attention,
        "pooling": _pooling(deployment, options),
        "chat_template": _template(options.chat_template),
        "projector": projector,
        "lora": adapters or None,
        "draft": draft,
        "draft_tokens": options.draft_tokens if draft else None,
        "prompt_cache": options.prompt_cache,
        "verbosity": options.verbosity,
    }
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    return Plan(
        argv=[deployment.python, str(RUNNER), json.dumps(given)],
        # PYTHONSAFEPATH: no file of the caller's working folder may pose as a module.
        env={TOKEN_VARIABLE: deployment.token.reveal(), "PYTHONSAFEPATH": "1"},
        ready="/health",
        base="/v1",
        model=weights.name,
        start_timeout=START_TIMEOUT,
        memory=memory_of(
            weights,
            beside=[projector, *(path for path, _ in adapters), "" if draft == LOOKUP else draft],
            tokens=context,
            sequences=slots,
            cache_type=options.cache_type,
            on_gpu=options.gpu_layers != 0,
        ),
    )


def llama_cpp_python_plan(deployment: Deployment, options: Options) -> Plan:
    """What runs on llama-cpp-python: for those who have built it for their machine."""
    weights = deployment.weights
    if weights.type == ModelType.VLM:
        msg = f"the runtime {LLAMA_CPP_PYTHON} sees no images; use runtime='xllamacpp'"
        raise Unsupported(msg)
    chats = weights.type.chats
    for option, asked in (
        ("slots", options.slots),
        ("pooling", options.pooling and weights.type != ModelType.EMBED),
        ("chat_template", options.chat_template),
        ("projector", options.projector),
        ("several lora", len(options.lora) > 1),
        ("lora with a scale", any(scale != 1 for _, scale in options.lora)),
        ("draft with a model", options.draft not in ("", LOOKUP)),
        ("draft", options.draft and not chats),
        ("prompt_cache", options.prompt_cache and not chats),
    ):
        if asked:
            msg = (
                f"the runtime {LLAMA_CPP_PYTHON} has no option {option!r} to serve {weights.type}; "
                f"use runtime='xllamacpp'"
            )
            raise Unsupported(msg)
    adapter = "".join(_existing("lora", path) for path, _ in options.lora)
    context = _context(deployment, options)
    threads = options.threads or default_threads()
    load: dict[str, Any] = {
        "n_ctx": context,
        "n_threads": threads,
        "n_threads_batch": threads,
        "n_gpu_layers": options.gpu_layers,
        "main_gpu": options.main_gpu,
        "n_batch": options.batch or (512 if chats else context),
        "verbose": options.verbosity > 2,
        "type_k": _GGML_TYPES[options.cache_type],
        "type_v": _GGML_TYPES[options.cache_type],
        **({"lora_path": adapter} if adapter else {}),
        **({"flash_attn": options.flash_attention} if options.flash_attention is not None else {}),
    }
    memory = memory_of(
        weights,
        beside=[adapter],
        tokens=context,
        sequences=1,
        cache_type=options.cache_type,
        on_gpu=options.gpu_layers != 0,
    )
    if not chats:
        pooling = "rank" if weights.type == ModelType.RERANK else _pooling(deployment, options)
        # A text must fit into one batch: its attention goes both ways.
        load |= {"n_ubatch": load["n_batch"], "pooling_type": _POOLINGS[pooling]}
        told = {"type": str(weights.type), "load": load}
        return runner_plan(VECTORS, deployment, told, memory=memory, start_timeout=START_TIMEOUT)
    return _chat_server_plan(deployment, options, load, memory)


def _chat_server_plan(
    deployment: Deployment, options: Options, load: Mapping[str, Any], memory: Memory | None
) -> Plan:
    """The package's own server."""
    weights = deployment.weights
    arguments = {
        "model": str(weights.path),
        "model_alias": weights.name,
        "host": deployment.host,
        "port": deployment.port,
        # By default a new request cuts off the stream that is running (0.3.36).
        "interrupt_requests": False,
        **load,
        **({"draft_model": "prompt-lookup-decoding"} if options.draft else {}),
        **({"draft_model_num_pred_tokens": options.draft_tokens} if options.draft else {}),
        **(
            {"cache": True, "cache_size": options.prompt_cache << 20}
            if options.prompt_cache
            else {}
        ),
    }
    argv = [deployment.python, "-m", "llama_cpp.server"]
    for name, value in arguments.items():
        argv += [f"--{name}", str(value)]
    return Plan(
        argv=argv,
        env={
            # Its settings are read from bare names, and HOST and PORT win over the arguments.
            "API_KEY": deployment.token.reveal(),
            "HOST": deployment.host,
            "PORT": str(deployment.port),
            "PYTHONSAFEPATH": "1",
        },
        ready="/v1/models",
        base="/v1",
        model=weights.name,
        start_timeout=START_TIMEOUT,
        memory=memory,
        # It answers calls of tools as text, and knows one form of response_format (0.3.36).
        lacks=frozenset({"tools", "reasoning", "json-schema", "image-input"}),
    )


def _context(deployment: Deployment, options: Options) -> int:
    trained = deployment.weights.context
    if options.context is not None:
        return options.context
    if not deployment.weights.type.chats:
        return trained or 512
    return min(trained or CONTEXT, CONTEXT)


def _pooling(deployment: Deployment, options: Options) -> str:
    """What makes one vector of many; empty where the weights say it, or nothing is pooled."""
    if deployment.weights.type != ModelType.EMBED or options.pooling:
        return options.pooling
    if not read_head(deployment.weights.path).pooling:
        msg = (
            f"the weights {str(deployment.weights.path)!r} do not name their pooling, and a wrong "
            f"one gives wrong vectors; pass pooling='mean', 'cls' or 'last' as their author says"
        )
        raise ConfigError(msg)
    return ""


def _projector(deployment: Deployment, options: Options) -> str:
    """The file that turns images into tokens: the one asked for, else the one beside a VLM."""
    weights = deployment.weights
    if options.projector or weights.type != ModelType.VLM:
        return _existing("projector", options.projector)
    beside = projector_of(weights.path)
    if beside is None:
        msg = (
            f"{str(weights.path)!r} sees nothing without its projector; put its mmproj*.gguf "
            f"beside it, or pass projector="
        )
        raise ConfigError(msg)
    return str(beside)


def _template(given: str) -> str:
    """A template's text, from itself or from the file that it names."""
    if "{" in given or not given:
        return given
    return Path(_existing("chat_template", given)).read_text(encoding="utf-8")


def _existing(option: str, path: str) -> str:
    if path and not Path(path).is_file():
        msg = f"llama_cpp: {option} names no file: {path!r}; check the path"
        raise ConfigError(msg)
    return str(Path(path).resolve()) if path else ""
