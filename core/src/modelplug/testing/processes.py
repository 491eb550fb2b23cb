"""Which processes live: what an engine started must be gone once it was stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def descendants(root: int) -> dict[int, str]:
    """The live processes that *root* started, and those they started: pid to command line."""
    table = _table()
    found: dict[int, str] = {}
    parents = {root}
    while parents:
        children = {pid for pid, (parent, _) in table.items() if parent in parents}
        parents = children - set(found)
        found |= {pid: table[pid][1] for pid in parents}
    return found


def alive(pids: Iterable[int]) -> list[int]:
    """Those of *pids* that still run; one that has ended and was not waited for does not."""
    table = _table()
    return [pid for pid in pids if pid in table]


def _table() -> dict[int, tuple[int, str]]:
    """pid to (parent's pid, command line), without zombies."""
    if (_PROC / "self" / "stat").exists():
        return _from_proc()
    told = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,stat=,command="],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split(None, 3) for line in told.stdout.splitlines()]
    # `ps` itself is among them, and gone by now.
    return {
        int(pid): (int(parent), command)
        for pid, parent, state, command in (row for row in rows if len(row) == 4)
        if not state.startswith("Z") and not command.startswith("/bin/ps -A")
    }


def _from_proc() -> dict[int, tuple[int, str]]:
    table: dict[int, tuple[int, str]] = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        # The name stands in parentheses and may hold any character, a space or ")" too.
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            text = command.replace(b"\0", b" ").decode("utf-8", "replace").strip()
            table[int(folder.name)] = (int(parent), text)
    return table
