"""
Other systems' configurations as a config map.

Read from: LazyLLM 1.4.0 (module/llms/utils.py), LiteLLM's proxy config
(docs.litellm.ai/docs/proxy/configs) and Ollama's Modelfile (its docs/modelfile.md), 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml
from attrs import frozen

from modelplug.config.entries import Entry, call_options
from modelplug.config.places import open_document
from modelplug.errors import ConfigError

Fields = dict[str, Any]
Given = tuple[str, Fields, list[str]]
"""(a model's name, the fields of one entry, what has no counterpart); "" for the whole file."""


@frozen
class Migrated:
    """A config map as YAML, and what has no counterpart in it, one line each."""

    text: str
    left_out: tuple[str, ...]


def migrate(path: Path, system: str) -> Migrated:
    """The file at *path*, of *system* (lazyllm, litellm, ollama); ConfigError if it is none."""
    models: dict[str, list[Fields]] = {}
    left_out: list[str] = []
    for name, fields, lost in _SYSTEMS[system](path):
        if name:
            models.setdefault(name, []).append(fields)
        left_out += [f"{name}: {each}" if name else each for each in lost]
    data = {name: each[0] if len(each) == 1 else each for name, each in models.items()}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    comments = "".join(f"# left out, {' '.join(each.split())}\n" for each in left_out)
    return Migrated(f"# from {path.name} of {system}\n{comments}{text}", tuple(left_out))


def _values(path: Path) -> Mapping[str, Any]:
    """The file as YAML; BadConfig where it is none."""
    try:
        document = open_document(path)
    except OSError as exc:
        msg = f"{str(path)!r} cannot be read: {exc.strerror}; check the path"
        raise ConfigError(msg) from exc
    return {name: document.value(name) for name in document.names()}


def _lazyllm(path: Path) -> Iterator[Given]:
    for name, given in _values(path).items():
        for raw in given if isinstance(given, list) else [given]:
            yield name, *_lazyllm_entry(_table(raw, path, name))


def _lazyllm_entry(raw: Mapping[str, Any]) -> tuple[Fields, list[str]]:
    known = {field.name for field in attrs.fields(Entry)} | call_options()
    fields: Fields = {}
    lost: list[str] = []
    for key, value in raw.items():
        if value is None:
            continue
        renamed = {"task": "type", "base_url": "url", "embed_url": "url", "model": "name"}
        if (ours := renamed.get(key, key)) == "api_key":
            fields[ours] = _references(value, _WHOLE, keys=True)
        elif ours in known:
            fields[ours] = _references(value, _SHELL)
        elif key == "static_params" and isinstance(value, Mapping):
            fields["options"] = dict(value)
        else:
            lost.append(f"{key}: {value!r}")
    if fields.get("url") and (fields.get("deploy_config") or fields.get("source") == "local"):
        if "framework" not in fields:
            fields["framework"] = "vllm"
            lost.append("framework: not told, vllm is assumed")
        fields.pop("deploy_config", None)  # LazyLLM compares it, and starts nothing
    return fields, lost


_LITELLM_SOURCES = {
    "dashscope": "qwen", "moonshot": "kimi", "volcengine": "doubao", "zai": "glm",
    "openai": "openai", "deepseek": "deepseek", "minimax": "minimax", "gemini": "gemini",
    "anthropic": "anthropic",
}  # fmt: skip
_LITELLM_TYPES = {
    "chat": "llm", "embedding": "embed", "rerank": "rerank", "audio_transcription": "stt",
    "audio_speech": "tts", "image_generation": "text2image",
}  # fmt: skip


def _litellm(path: Path) -> Iterator[Given]:
    values = _values(path)
    models = values.get("model_list")
    if not isinstance(models, list):
        msg = f"{path} has no model_list; take LiteLLM's config.yaml"
        raise ConfigError(msg)
    for raw in models:
        table = _table(raw, path, "model_list")
        params = _table(table.get("litellm_params"), path, "litellm_params")
        name = str(table.get("model_name", params.get("model", "")))
        yield name, *_litellm_entry(params, _table(table.get("model_info") or {}, path, name))
    others = [key for key in values if key != "model_list" and values[key]]
    yield "", {}, [f"{key}: a setting of LiteLLM's server" for key in others]


def _litellm_entry(params: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[Fields, list[str]]:
    fields: Fields = {}
    lost: list[str] = []
    prefix, slash, rest = str(params.get("model", "")).partition("/")
    source = _LITELLM_SOURCES.get(prefix) if slash else None
    if prefix in ("hosted_vllm", "ollama", "ollama_chat", "openai_like", "custom_openai") and slash:
        fields["name"] = rest
    elif source is not None:
        fields |= {"source": source, "name": rest}
    else:
        fields["name"] = str(params.get("model", ""))
        if slash:
            lost.append(f"model: no provider here is called {prefix!r} for certain")
    for key, value in params.items():
        if key in ("model", "custom_llm_provider") or value is None:
            continue
        if key in ("api_base", "base_url"):
            fields["url"] = _references(value, _OS_ENVIRON)
        elif key == "api_key":
            fields["api_key"] = _references(value, _OS_ENVIRON, keys=True)
        elif key in call_options():
            fields[key] = value
        else:
            lost.append(f"{key}: {value!r}")
    if (mode := info.get("mode")) in _LITELLM_TYPES:
        fields["type"] = _LITELLM_TYPES[mode]
    if "id" in info:
        fields["id"] = str(info["id"])
    return fields, lost


_OLLAMA_OPTIONS = {
    "temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop",
    "num_predict": "max_tokens",
}  # fmt: skip


def _ollama(path: Path) -> Iterator[Given]:
    text = open_document(path).text
    fields: Fields = {"source": "local"}
    options: Fields = {}
    lost: list[str] = []
    for word, rest in _instructions(text):
        name, _, value = rest.partition(" ")
        if word == "FROM":
            fields["name"] = _ollama_weights(rest, path)
            if not Path(fields["name"]).is_absolute():
                lost.append(f"FROM {rest}: a name of Ollama's library; take a file or a repository")
        elif word == "PARAMETER" and name == "num_ctx":
            fields["deploy_config"] = {"context": int(value)}
        elif word == "PARAMETER" and name in _OLLAMA_OPTIONS:
            _add(options, _OLLAMA_OPTIONS[name], value.strip())
        else:
            lost.append(f"{word} {rest[:60]}")
    if "name" not in fields:
        msg = f"{path} has no FROM; take Ollama's Modelfile"
        raise ConfigError(msg)
    yield path.parent.resolve().name or "model", fields | options, lost


def _ollama_weights(given: str, path: Path) -> str:
    """A file beside the Modelfile by its path; a model of Ollama's library by its name."""
    if given.startswith((".", "/", "~")) or given.endswith((".gguf", ".safetensors")):
        return str((path.parent / Path(given).expanduser()).resolve())
    return given.removesuffix(":latest").replace(":", "-")


_INSTRUCTION = re.compile(r'^[ \t]*([A-Za-z]+)[ \t]+([^"\n]*?"""[\s\S]*?"""|[^\n]*)', re.M)
"""A text in three quotes may have many lines."""


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, its text) of a Modelfile."""
    for match in _INSTRUCTION.finditer(re.sub(r"^[ \t]*#.*$", "", text, flags=re.M)):
        yield match[1].upper(), match[2].strip().strip('"')


def _add(options: Fields, name: str, value: str) -> None:
    """One option; `stop` may be given many times."""
    if name == "stop":
        options.setdefault("stop", []).append(value.strip('"'))
    else:
        options[name] = yaml.safe_load(value)


def _table(value: object, path: Path, where: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    msg = f"{path}: {where} is no table of fields; is it the right file, and the right system?"
    raise ConfigError(msg)


_SHELL = re.compile(r"\$(?!\{)([A-Za-z_]\w*)")
_WHOLE = re.compile(r"^\$\{?(\w+)\}?$")
_OS_ENVIRON = re.compile(r"^os\.environ/(\w+)$")


def _references(value: Any, pattern: re.Pattern[str], *, keys: bool = False) -> Any:
    """*value* with variables as they are written here."""
    if not isinstance(value, str):
        return value
    if keys and (match := pattern.match(value)):
        return f"env:{match[1]}"
    return pattern.sub(r"${\1}", value)


_SYSTEMS: Mapping[str, Callable[[Path], Iterator[Given]]] = {
    "lazyllm": _lazyllm,
    "litellm": _litellm,
    "ollama": _ollama,
}
