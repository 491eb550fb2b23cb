"""Whether what an engine will take is free."""

from __future__ import annotations

from collections.abc import Sequence

from modelplug.runtime import Device
from modelplug.types import Memory

_GIB, _MIB = 1024**3, 1024**2
_KINDS = {"cpu": {"cpu"}, "gpu": {"cuda"}, "any": {"cpu", "cuda"}}


def lacking(memory: Memory, devices: Sequence[Device]) -> str:
    """What is missing, with the figures; empty where it fits, or where nothing can be told."""
    kinds = _KINDS[memory.device]
    there = [device for device in devices if device.kind in kinds]
    free, total = sum(it.free for it in there), sum(it.total for it in there)
    if not there or memory.total <= free:
        return ""
    parts = ", ".join(f"{name} {amount(size)}" for name, size in memory.parts.items())
    where = "" if memory.device == "any" else f" {memory.device.upper()}"
    return (
        f"it takes {amount(memory.total)} of{where} memory ({parts}), and of {amount(total)} "
        f"{amount(free)} are free"
    )


def amount(size: int) -> str:
    """`3.2 GiB`, or `17 MiB`."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{-(-size // _MIB)} MiB"
