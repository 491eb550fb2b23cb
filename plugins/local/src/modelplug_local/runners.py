"""Plans for engines that are a runner: one file of a plugin on top of runner/engine_server.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelplug.types import Deployment, Memory, Plan

TOKEN_VARIABLE = "MODELPLUG_ENGINE_TOKEN"  # noqa: S105 - a name
SERVER_FOLDER = Path(__file__).with_name("runner")


def runner_plan(
    runner: Path,
    deployment: Deployment,
    settings: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
    memory: Memory | None = None,
    start_timeout: float = 300.0,
) -> Plan:
    """
    Run *runner* in the deployment's interpreter, with *settings* as JSON in its argument.

    Beside them it is told `path`, `model`, `host` and `port`.
    """
    weights = deployment.weights
    told = {
        "path": str(weights.path),
        "model": weights.name,
        "host": deployment.host,
        "port": deployment.port,
        **settings,
    }
    return Plan(
        argv=[deployment.python, str(runner), json.dumps(told)],
        env={
            TOKEN_VARIABLE: deployment.token.reveal(),
            # PYTHONSAFEPATH: no file of the caller's working folder may pose as a module.
            "PYTHONSAFEPATH": "1",
            "PYTHONPATH": str(SERVER_FOLDER),
            # Weights are on disk already; a library that asks a hub for more waits for nothing.
            "HF_HUB_OFFLINE": "1",
            **(env or {}),
        },
        ready="/health",
        base="/v1",
        model=weights.name,
        start_timeout=start_timeout,
        memory=memory,
    )
