"""Weights that are only planned for, never loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from modelplug.runtime import Device
from modelplug.types import Deployment, ModelType, Plan, Secret, Weights
from modelplug_vllm.plans import vllm_plan

sys.path.insert(0, str(Path(__file__).parent))  # a module that several tests share

from vllm_weights import CPU, HERMES, QWEN2, PlanOf  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chat model's folder; its weights are 3 MB."""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(QWEN2))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": HERMES}))
    (folder / "model.safetensors").write_bytes(bytes(3_000_000))
    return folder


@pytest.fixture
def plan(folder: Path) -> PlanOf:
    """`plan(type, devices=, env=, python=, trusted=, context=, **options)` for that model."""

    def plan(
        type: str = "llm",
        *,
        devices: tuple[Device, ...] = (CPU,),
        env: dict[str, str] | None = None,
        python: str = sys.executable,
        trusted: bool = False,
        context: int | None = 32768,
        **options: Any,
    ) -> Plan:
        weights = Weights("m", folder, "safetensors", ModelType(type), context)
        deployment = Deployment(
            weights, options, "127.0.0.1", 20001, Secret("canary"), python, trusted
        )
        return vllm_plan(deployment, devices, env or {})

    return plan
