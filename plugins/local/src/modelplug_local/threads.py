"""How many threads an engine computes with, unless it is told."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """
    Physical cores that this process may use, less one, at least one.

    All of them is slower than fewer as soon as anything else runs: with OpenMP each step
    waits for the slowest thread (two threads on two busy cores: 24 GFLOPS, one thread: 44;
    2026-11), and sibling hyper-threads share the units that matrix products need.
    """
    allowed = _allowed_cpus()
    cores = {_siblings(cpu) for cpu in allowed}
    count = min(len(cores), _quota() or len(cores))
    return max(1, count - 1)


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _siblings(cpu: int) -> str:
    """Equal for the hyper-threads of one core; the CPU itself where the kernel does not tell."""
    try:
        return (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int | None:
    """Whole CPUs of a container's limit, at least one; None without a limit."""
    try:
        quota, period = _QUOTA.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))
