"""An engine for who asks: the one that is kept, the one that runs, or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelplug.runtime import Engine, PlanFor
from modelplug_local.engines import kept, shared
from modelplug_local.engines.failures import Failure
from modelplug_local.engines.supervisor import SupervisedEngine

if TYPE_CHECKING:
    from modelplug.catalog import Failure as Row


def launch(
    name: str,
    plan_for: PlanFor,
    *,
    key: str = "",
    failures: Sequence[Row] = (),
    idle_timeout: float | None = None,
) -> Engine:
    """See `modelplug.runtime.Runtime.launch`."""
    rows = [Failure("plugin", row.match, row.cause, row.mend) for row in failures]

    def make() -> SupervisedEngine:
        return SupervisedEngine(name, plan_for, failures=rows, idle_timeout=idle_timeout)

    if key:
        # One that is kept has its own patience; those who ask here get what they ask for.
        return kept.adopt(key) or shared.ask(f"{key} {idle_timeout}", make)
    engine = make()
    engine.begin()
    return engine
