"""From a deployment to vLLM's command line: what was asked for, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelplug.errors import ConfigError
from modelplug.runtime import Device
from modelplug.types import Deployment, ModelType, Plan
from modelplug_local.threads import default_threads
from modelplug_vllm.arguments import arguments
from modelplug_vllm.families import parser_for
from modelplug_vllm.files import adapter_rank, chat_template, read_json, sees, text_config
from modelplug_vllm.memory import cpu_cache, estimate

RUNNERS = {
    ModelType.LLM: "generate",
    ModelType.VLM: "generate",
    ModelType.EMBED: "pooling",
    ModelType.RERANK: "pooling",
}
"""One process does one kind of task: a server that generates has no /v1/embeddings."""

PROGRAMS = {
    # `vllm serve` looks for the version of a distribution called vllm, which the build for
    # the CPU is not, and dies (0.32). This one is deprecated, and works.
    "module": ["-m", "vllm.entrypoints.openai.api_server"],
    "cli": ["-m", "vllm.entrypoints.cli.main", "serve"],
}

GUARD = Path(__file__).with_name("guard")
START_TIMEOUT = 1200.0
"""Seconds: large weights from a slow disk, then compilation and CUDA graphs."""

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def vllm_plan(deployment: Deployment, devices: Sequence[Device], env: Mapping[str, str]) -> Plan:
    """The plan on a machine with *devices*; ConfigError for what could not be served."""
    weights = deployment.weights
    given = {name: value for name, value in deployment.options.items() if value is not None}
    launch = PROGRAMS[_launch(given.pop("launch", "module"))]
    config = read_json(weights.path / "config.json")
    on_gpu = _is_on_gpu(deployment.python, devices)
    _check_gpus(given, [device for device in devices if device.kind == "cuda"], on_gpu)
    options: dict[str, Any] = {"runner": RUNNERS[weights.type], "max_model_len": "auto"}
    if not on_gpu:
        options["kv_cache_memory_bytes"] = cpu_cache(weights, config, given)
    if weights.type.chats:
        options |= _parsers(weights.path, config, given)
    _check_task(weights.type, config, given)
    adapters = _adapters(weights.name, given)
    # With an adapter on every request the base has another name, and is never taken for it.
    base = f"{weights.name}/base" if "lora" in given else weights.name
    options |= {name: given[name] for name in given if name != "lora"} | _loading(adapters, given)
    argv = [deployment.python, *launch]
    argv += [f"--model={weights.path}", f"--served-model-name={base}"]
    argv += [f"--host={deployment.host}", f"--port={deployment.port}"]
    argv += ["--middleware=token_only.TokenOnly", *arguments(options)]
    if deployment.trust_remote_code:
        argv.append("--trust-remote-code")
    return Plan(
        argv=argv,
        env=_environment(deployment, on_gpu, env),
        ready="/health",
        base="/v1",
        model=weights.name,
        start_timeout=START_TIMEOUT,
        memory=estimate("gpu" if on_gpu else "cpu", weights, config, given),
        lacks=_lacks(weights.type, options),
    )


def _launch(name: object) -> str:
    if not isinstance(name, str) or name not in PROGRAMS:
        msg = f"vllm: launch must be one of {', '.join(map(repr, PROGRAMS))}, not {name!r}"
        raise ConfigError(msg)
    return name


def _environment(deployment: Deployment, on_gpu: bool, env: Mapping[str, str]) -> dict[str, str]:
    found = {
        "VLLM_API_KEY": deployment.token.reveal(),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # The weights are on disk; nothing of them is asked of a hub.
        "HF_HUB_OFFLINE": "1",
        # The guard's folder alone, and no file of the caller's working folder.
        "PYTHONPATH": str(GUARD),
        "PYTHONSAFEPATH": "1",
        # Programs of its environment that vLLM calls by name: ninja, for one.
        "PATH": os.pathsep.join([os.path.dirname(deployment.python), env.get("PATH", os.defpath)]),
    }
    if not on_gpu and "VLLM_CPU_OMP_THREADS_BIND" not in env:
        # By itself it binds its threads to the first cores: two engines share those then
        # while others are idle.
        found["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        found["OMP_NUM_THREADS"] = env.get("OMP_NUM_THREADS") or str(default_threads())
    return found


def _is_on_gpu(python: str, devices: Sequence[Device]) -> bool:
    """Whether vLLM will run on a GPU: there is one, and its build is not that for the CPU."""
    if all(device.kind != "cuda" for device in devices):
        return False
    site = Path(python).parent.parent / "lib"
    return not any(site.glob("python3*/site-packages/vllm_cpu-*.dist-info"))


def _check_gpus(given: Mapping[str, Any], gpus: Sequence[Device], on_gpu: bool) -> None:
    names = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    asked = {name: given[name] for name in names if name in given}
    for name, value in asked.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            msg = f"vllm: {name} must be a whole number of at least 1, not {value!r}"
            raise ConfigError(msg)
    wanted = 1
    for value in asked.values():
        wanted *= value
    # Ray, and several nodes, have GPUs that are not here.
    elsewhere = given.get("nnodes", 1) != 1 or "distributed_executor_backend" in given
    if on_gpu and wanted > len(gpus) and not elsewhere:
        told = " × ".join(f"{name}={value}" for name, value in asked.items())
        msg = f"vllm: {told} needs {wanted} GPUs and {len(gpus)} are here"
        raise ConfigError(msg)


def _check_task(type: ModelType, config: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    runner = given.get("runner", "auto")
    if runner not in ("auto", RUNNERS[type]):
        msg = (
            f"vllm: a server with runner={runner!r} does not serve {type}; "
            f"leave runner out, or pass another type="
        )
        raise ConfigError(msg)
    if type is ModelType.VLM and not sees(config):
        msg = "vllm: these weights cannot see images: config.json has no part for vision"
        raise ConfigError(msg)
    if not type.chats:
        unfit = [name for name in ("tool_call_parser", "reasoning_parser") if given.get(name)]
        if unfit:
            msg = f"vllm: {unfit[0]} is for models that chat, and this one does {type}"
            raise ConfigError(msg)


def _parsers(folder: Path, config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What makes tool calls and thinking come out apart from the text."""
    template = _template(folder, given)
    model_type = str(config.get("model_type") or text_config(config).get("model_type") or "")
    found: dict[str, Any] = {}
    if given.get("enable_auto_tool_choice", True):
        tools = given.get("tool_call_parser") or parser_for("tools", template, model_type)
        if tools is None and "enable_auto_tool_choice" in given:
            msg = (
                f"vllm: tools were asked for, and no parser is known for the tool calls of "
                f"{model_type or 'this model'!r}; name one by tool_call_parser="
            )
            raise ConfigError(msg)
        if tools is not None:
            found |= {"enable_auto_tool_choice": True, "tool_call_parser": tools}
    if (reasoning := parser_for("reasoning", template, model_type)) is not None:
        found["reasoning_parser"] = reasoning
    return found


def _lacks(type: ModelType, options: Mapping[str, Any]) -> frozenset[str]:
    """What this server will not do: vLLM refuses it with HTTP 400 at the first call."""
    lacking = {
        "tools": not options.get("tool_call_parser"),
        "image-input": type is not ModelType.VLM,
    }
    return frozenset(name for name, lacks in lacking.items() if lacks)


def _template(folder: Path, given: Mapping[str, Any]) -> str:
    if asked := given.get("chat_template"):
        text = str(asked)
        return Path(text).read_text("utf-8") if "{" not in text and Path(text).is_file() else text
    template = chat_template(folder)
    if template is None:
        msg = (
            f"vllm: {str(folder)!r} has no chat template, so it would answer no chat; "
            f"give one by chat_template="
        )
        raise ConfigError(msg)
    return template


def _adapters(name: str, given: Mapping[str, Any]) -> dict[str, Path]:
    """
    LoRA adapters by the names that they have on the wire, each a model of its own.

    `lora_modules` are `{name: folder}`; `lora`, one folder, is for every request: it takes
    *name*, the model's.
    """
    adapters = given.get("lora_modules", {})
    if not isinstance(adapters, Mapping) or ("lora_modules" in given and not adapters):
        msg = f"vllm: lora_modules is {{name: folder}}, not {adapters!r}"
        raise ConfigError(msg)
    lora = given.get("lora")
    if lora is not None and not isinstance(lora, str | Path):
        msg = f"vllm: lora is the folder of one adapter, not {lora!r}; see lora_modules for several"
        raise ConfigError(msg)
    named = {**adapters, **({} if lora is None else {name: lora})}
    return {str(each): Path(path).expanduser().absolute() for each, path in named.items()}


def _loading(adapters: Mapping[str, Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM is told to load *adapters*."""
    if not adapters:
        return {}
    highest = max(adapter_rank(name, folder) for name, folder in adapters.items())
    room = given.get("max_lora_rank") or next((each for each in _RANKS if each >= highest), highest)
    if highest > room:
        msg = f"vllm: an adapter has rank {highest}, more than max_lora_rank={room}"
        raise ConfigError(msg)
    return {
        "enable_lora": True,
        "max_lora_rank": room,
        "lora_modules": [f"{name}={folder}" for name, folder in adapters.items()],
    }
