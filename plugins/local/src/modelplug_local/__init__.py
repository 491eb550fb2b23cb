"""Local models for modelplug: finds weights on disk and supervises engine processes."""

from __future__ import annotations

from attrs import frozen

from modelplug.runtime import Runtime
from modelplug_local.engines.hardware import devices
from modelplug_local.engines.kept import end, keep, list_kept
from modelplug_local.engines.launching import launch
from modelplug_local.environments.inventory import interpreter
from modelplug_local.weights import find, kind_of, look, pull

__all__ = ["LocalRuntime", "pull", "runtime"]


@frozen(eq=False)
class LocalRuntime:
    """What `modelplug.runtime.Runtime` asks for."""

    find = staticmethod(find)
    look = staticmethod(look)
    kind_of = staticmethod(kind_of)
    interpreter = staticmethod(interpreter)
    devices = staticmethod(devices)
    launch = staticmethod(launch)
    keep = staticmethod(keep)
    kept = staticmethod(list_kept)
    end = staticmethod(end)


runtime: Runtime = LocalRuntime()
