"""What this machine has to run engines on, and how much of its memory is free."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelplug.runtime import Device

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
_MIB = 1024**2
# A driver that hangs must not hang a start; a sound one answers in 20 to 300 ms.
_PATIENCE = 10.0


def devices() -> list[Device]:
    """The CPU with its memory, then each NVIDIA GPU with its own; asked anew each time."""
    return [_cpu(), *_gpus()]


def _cpu() -> Device:
    total, free = _memory()
    limits = list(_limits(_PROC, _CGROUPS))
    return Device(
        "cpu",
        f"{os.cpu_count() or 1} CPUs",
        min([total, *(limit for limit, _ in limits)]),
        min([free, *(max(0, limit - used) for limit, used in limits)]),
    )


def _memory(proc: Path = _PROC) -> tuple[int, int]:
    """(total, free) of the machine in bytes; what the page cache holds can be had, so is free."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # macOS: what is free there is not told by a file
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return kib["MemTotal"] * 1024, kib.get("MemAvailable", kib["MemFree"]) * 1024


def _limits(proc: Path, root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of each control group that this process is in and that has one."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        top = root / controllers
        # A container sees its own group as the root while the path may be the host's.
        group = top / path.lstrip("/")
        for folder in [group, *_above(group, top)] if group.is_dir() else [top]:
            if (found := _limit(folder, *names)) is not None:
                yield found


def _above(group: Path, top: Path) -> list[Path]:
    return [parent for parent in group.parents if parent == top or top in parent.parents]


def _limit(folder: Path, limit_name: str, used_name: str, cached: str) -> tuple[int, int] | None:
    try:
        limit = int((folder / limit_name).read_text())
        used = int((folder / used_name).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        stat = dict(line.split() for line in lines)
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
    # Files that were read and are not in use are given back before anything is refused.
    return limit, used - int(stat.get(cached, 0))


def _gpus() -> list[Device]:
    # nvidia-smi comes with every driver, in containers too; its library's Python module
    # would be one more thing to install and tells the same.
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        told = subprocess.run(  # noqa: S603 - a list, and no shell
            [program, *_QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Without a driver it says so on stdout and exits with a status.
    return _read_gpus(told.stdout.splitlines()) if told.returncode == 0 else []


def _read_gpus(lines: Sequence[str]) -> list[Device]:
    found = []
    for line in lines:
        name, *figures = (part.strip() for part in line.rsplit(",", 2))
        if len(figures) == 2 and all(figure.isdigit() for figure in figures):
            total, free = (int(figure) * _MIB for figure in figures)
        else:  # unified memory: "[N/A]"; it is the machine's own
            total, free = _memory() if sys.platform == "linux" else (0, 0)
        found.append(Device("cuda", name, total, free))
    return found
