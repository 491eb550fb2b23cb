"""What a folder of safetensors tells of its model: config.json and the chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelplug.errors import ConfigError, NoModel

_MISTRAL_TOKENIZERS = ("tekken.json", "tokenizer.model.v3")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty if there is none; NoModel if it cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        msg = f"{str(path)!r} cannot be read: {exc}; fetch the model again"
        raise NoModel(msg) from exc
    return data if isinstance(data, dict) else {}


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of config.json that is about the language model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def sees(config: Mapping[str, Any]) -> bool:
    """Whether the model has an encoder for images."""
    return any("vision" in key or "visual" in key or "image" in key for key in config)


def chat_template(folder: Path) -> str | None:
    """
    The model's chat template; empty where its tokenizer has the format built in, as Mistral's
    do, and None where there is none.
    """
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if path.suffix == ".jinja" and path.is_file():
            return path.read_text(encoding="utf-8")
        template = read_json(path).get("chat_template")
        if isinstance(template, list):  # several, by name
            template = "\n".join(str(each.get("template", "")) for each in template)
        if template:
            return str(template)
    return "" if any((folder / name).is_file() for name in _MISTRAL_TOKENIZERS) else None


def adapter_rank(name: str, folder: Path) -> int:
    """The rank of the LoRA adapter in *folder*; ConfigError if it is none."""
    rank = read_json(folder / "adapter_config.json").get("r")
    if not isinstance(rank, int):
        msg = f"vllm: the adapter {name!r} is no LoRA: {str(folder)!r} has no adapter_config.json"
        raise ConfigError(msg)
    return rank
