"""One provider, which is a loopback server, and ways to run the command on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplug.testing import CANARY, FaultServer

# The tests are collected by path (--import-mode=importlib), so helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from cli_terminal import MODELPLUG, PATIENCE, Install, Open, Run, Terminal  # noqa: E402


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def env(server: FaultServer, tmp_path: Path) -> dict[str, str]:
    """An environment with one provider, which is the loopback server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "MODELPLUG_OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": CANARY,
        "MODELPLUG_MODEL_CACHE_DIR": str(tmp_path),
    }


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """Run the command to its end, with pipes."""

    def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*MODELPLUG, *arguments],
            input=given,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert CANARY not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def terminal(env: dict[str, str]) -> Iterator[Open]:
    """Start the command on a terminal; `out` takes its stdout elsewhere."""
    opened: list[Terminal] = []

    def start(*arguments: str, out: Path | None = None) -> Terminal:
        opened.append(Terminal(list(arguments), env, out))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
        assert CANARY not in each.seen


@pytest.fixture
def install(env: dict[str, str], tmp_path: Path) -> Install:
    """Put a distribution with entry points, and its module, where the command finds it."""
    site = tmp_path / "site"
    site.mkdir()
    env["PYTHONPATH"] = str(site)

    def install(
        name: str, entries: str, source: str | None = "", manifest: str = "", summary: str = ""
    ) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata + (f"Summary: {summary}\n" if summary else ""))
        (info / "entry_points.txt").write_text(entries)
        if source is not None:
            package = site / name.replace("-", "_")
            package.mkdir()
            (package / "__init__.py").write_text(source)
            (package / "modelplug.toml").write_text(manifest)

    return install
