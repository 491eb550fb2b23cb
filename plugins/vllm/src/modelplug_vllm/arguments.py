"""The options of `deploy_method(deploy.vllm, ...)` as arguments of vLLM's server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FLAGS = frozenset(
    ["aggregate_engine_logging", "data_parallel_multi_port_external_lb", "disable_log_stats"]
)
"""Those that have no `--no-` (0.32)."""


def arguments(options: Mapping[str, Any]) -> Iterator[str]:
    """
    Each option as vLLM's parser reads it: True and False as switches, a list as several
    values, a mapping as JSON, None not at all.
    """
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        match value:
            case None:
                continue
            case True:
                yield flag
            case False:
                if name not in FLAGS:
                    yield f"--no-{name.replace('_', '-')}"
            case Mapping():
                # One argument, so that a value that begins with a hyphen is not read as another.
                yield f"{flag}={json.dumps(value)}"
            case str() | int() | float():
                yield f"{flag}={value}"
            case Sequence():
                yield from (flag, *map(str, value))
            case _:
                yield f"{flag}={value}"
