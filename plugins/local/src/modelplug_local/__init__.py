"""Local models for modelplug: finds weights on disk and supervises engine processes."""

from __future__ import annotations

from attrs import frozen

from modelplug.runtime import Runtime
from modelplug_local.supervisor import launch
from modelplug_local.weights import find

__all__ = ["LocalRuntime", "runtime"]


@frozen(eq=False)
class LocalRuntime:
    """What `modelplug.runtime.Runtime` asks for."""

    find = staticmethod(find)
    launch = staticmethod(launch)


runtime: Runtime = LocalRuntime()
