"""
Serves one model with llama.cpp's own server: `serve.py '{"model": ..., ...}'`.

Run by path, in any interpreter that has xllamacpp: it imports nothing else of modelplug. The
token comes in the variable MODELPLUG_ENGINE_TOKEN, as arguments are for everybody to see.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import xllamacpp


def parameters(given: Mapping[str, Any], token: str) -> xllamacpp.CommonParams:
    """llama.cpp's parameters for the settings that plans.py makes."""
    chats = given["type"] in ("llm", "vlm")
    params = xllamacpp.CommonParams()
    params.model.path = given["model"]
    params.mmproj.path = given.get("projector", "")
    params.model_alias = {given["alias"]}
    params.offline = True

    params.hostnames = [given["host"]]
    params.port = given["port"]
    params.api_keys = [token]
    # Its defaults: every web page may call, a chat page, and a route that shows the prompts.
    params.cors_origins = ""
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False

    # What it calls context is for all slots together.
    params.n_parallel = given["slots"]
    params.n_ctx = given["context"] * given["slots"]
    params.n_batch = params.n_ubatch = given["batch"]
    if chats:
        params.n_ubatch = min(512, given["batch"])
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given["threads"]
    params.n_gpu_layers = given["gpu_layers"]
    params.main_gpu = given["main_gpu"]
    params.cache_type_k = params.cache_type_v = _cache_type(given["cache_type"])
    # Its default is to keep up to 8 GiB of finished prompts in memory.
    params.cache_ram_mib = given.get("prompt_cache", 0)
    params.cache_idle_slots = params.cache_ram_mib > 0
    if (flash := given.get("flash_attention")) is not None:
        kinds = xllamacpp.llama_flash_attn_type
        params.flash_attn_type = (
            kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )

    params.use_jinja = True
    params.chat_template = given.get("chat_template", "")
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in given.get("lora", ())
    ]
    _draft(params, given)

    params.embedding = not chats
    # With a cache for each slot apart, texts of several lengths in one batch are computed in
    # pieces, and a mean is then that of a text's last piece: silently another vector (2026.10).
    params.kv_unified = not chats
    poolings = xllamacpp.llama_pooling_type
    if given["type"] == "rerank":
        params.pooling_type = poolings.LLAMA_POOLING_TYPE_RANK
    elif pooling := given.get("pooling"):
        params.pooling_type = poolings[f"LLAMA_POOLING_TYPE_{pooling.upper()}"]
    params.verbosity = given["verbosity"]
    return params


def _draft(params: xllamacpp.CommonParams, given: Mapping[str, Any]) -> None:
    """Let a small model, or the prompt, guess the next tokens, which the model then checks."""
    kinds, speculative = xllamacpp.common_speculative_type, params.speculative
    if given.get("draft") == "lookup":
        speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    elif path := given.get("draft"):
        speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        speculative.draft.mparams.path = path
        speculative.draft.n_max = given["draft_tokens"]
        speculative.draft.n_gpu_layers = given["gpu_layers"]
        for cpu in (speculative.draft.cpuparams, speculative.draft.cpuparams_batch):
            cpu.n_threads = given["threads"]


def _cache_type(name: str) -> xllamacpp.ggml_type:
    return xllamacpp.ggml_type[f"GGML_TYPE_{name.upper()}"]


def main() -> None:
    """Serve until a signal ends it; its threads are the server's own."""
    # Taken out, so that nothing which this process might start inherits it.
    token = os.environ.pop("MODELPLUG_ENGINE_TOKEN")
    try:
        server = xllamacpp.Server(parameters(json.loads(sys.argv[1]), token))
    except RuntimeError:  # "please check the input params": the cause is in the log already
        sys.exit(1)
    print(f"modelplug: llama.cpp serves at {server.listening_address}", flush=True)
    while True:
        # Signals keep their default action: SIGTERM ends the process at once, streams or not.
        signal.pause()


if __name__ == "__main__":
    main()
