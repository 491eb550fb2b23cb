"""
The steps from nothing to an environment with its packages.

uv takes them where it is installed, else venv and pip. Either runs under the guard that
engines run under: a program that is killed half-way leaves no pip behind that goes on writing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from modelplug.errors import EngineError
from modelplug_local.engines import logs
from modelplug_local.engines.spawn import Run
from modelplug_local.environments.inventory import Recipe

Tell = Callable[[str], None]
"""Is told what is going on, a short line at a time."""

PATIENCE = 3600.0
"""Seconds that one step may take: 3 GB over a slow line."""

TAIL_LINES = 15
_TICK = 0.2
_REPORT = "report.json"
# The answer goes into a file: what a module prints as it is imported goes to the log.
_LOOK = """
import importlib, importlib.metadata, json, sys
out, module = sys.argv[1:]
if module:
    importlib.import_module(module)
found = {each.name: each.version for each in importlib.metadata.distributions()}
with open(out, "w") as file:
    json.dump([sys.version.split()[0], found], file)
"""


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Builder:
    """`base` is the interpreter that the environment at `path` is made with."""

    def __init__(self, recipe: Recipe, base: str, path: Path, tell: Tell) -> None:
        self.recipe = recipe
        self.base = base
        self.path = path
        self.python = str(path / "bin" / "python")
        self.loose: dict[str, str] = {}
        """Names of what no hash vouched for, with the SHA-256 of what came, where known."""
        self._log = logs.new_log(f"install-{recipe.name}", os.environ)
        self._tell = tell
        self._uv = shutil.which("uv")
        # Its pip serves as well, may be newer, and need not be unpacked first: 2 s of CPU.
        self._base_has_pip = _has_pip(base)

    def build(self) -> None:
        """All steps but the look; EngineError for the one that fails."""
        self._tell(f"making {self.path} with {'uv' if self._uv else 'pip'}; log: {self._log}")
        if self._uv:
            self._step([self._uv, "venv", "--python", self.base, str(self.path)])
        else:
            bare = ["--without-pip"] if self._base_has_pip else []
            self._step([self.base, "-I", "-m", "venv", *bare, str(self.path)])
        for requirement in self.recipe.environment.loose:
            self._install_loose(requirement)
        # Nothing but what the list names, and no package's own code runs to install it.
        self._step(
            [*self._installer(bool(self._uv)), "--require-hashes", "-r", str(self.recipe.lock)]
        )

    def look(self) -> tuple[str, dict[str, str]]:
        """(version of Python, package to version), after its module was imported."""
        self._tell(f"importing {self.recipe.module}" if self.recipe.module else "looking")
        return look(self.python, self.recipe.module, self.path, self._step)

    def _installer(self, with_uv: bool) -> list[str]:
        if with_uv:
            assert self._uv is not None
            tool = [self._uv, "pip", "install", "--python", self.python]
        else:
            of_base = [self.base, "-I", "-m", "pip", "--python", self.python]
            pip = of_base if self._base_has_pip else [self.python, "-I", "-m", "pip"]
            tool = [*pip, "install", "--progress-bar=off", "--no-input"]
        return [*tool, "--no-deps", "--only-binary=:all:"]

    def _install_loose(self, requirement: str) -> None:
        report = self.path / _REPORT
        # pip, where there is one, tells the hash of what came; uv does not (0.13).
        with_uv = bool(self._uv) and not self._base_has_pip
        argv = [*self._installer(with_uv), requirement]
        argv += [] if with_uv else [f"--report={report}"]
        index = self.recipe.environment.index
        try:
            # What pip is set up with comes first: behind a wall there may be nothing else.
            self._step(argv)
        except EngineError:
            if not index:
                raise
            self._tell(f"looking for {requirement} at {index}")
            self._step([*argv, "--extra-index-url", index])
        self.loose[normal(requirement.partition("==")[0])] = ""
        if report.exists():
            for each in json.loads(report.read_text(encoding="utf-8"))["install"]:
                hashes = each["download_info"].get("archive_info", {}).get("hashes", {})
                self.loose[normal(each["metadata"]["name"])] = hashes.get("sha256", "")
            report.unlink()

    def _step(self, argv: Sequence[str]) -> None:
        start = self._log.stat().st_size
        news = _News(self._log, self._tell)
        run = Run(argv, _settings(self.base if self._uv else ""), self._log)
        deadline = time.monotonic() + PATIENCE
        try:
            while not run.wait(_TICK) and time.monotonic() < deadline:
                news.look()
        finally:
            run.end()
        news.look()
        if run.exit != 0:
            lines = "\n".join(logs.tail(self._log, start)[-TAIL_LINES:])
            msg = (
                f"the environment of {self.recipe.name} could not be made: "
                f"{shlex.join(argv)!r}: {run.outcome}; see {str(self._log)!r}, which ends "
                f"with:\n{lines}"
            )
            raise EngineError(msg, log_path=str(self._log))


def _has_pip(python: str) -> bool:
    asked = [python, "-I", "-m", "pip", "--version"]
    return subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode == 0  # noqa: S603


def look(
    python: str, module: str, folder: Path, run: Callable[[Sequence[str]], object]
) -> tuple[str, dict[str, str]]:
    """What *python* has, told by itself through a file in *folder*."""
    out = folder / "look.json"
    run([python, "-I", "-c", _LOOK, str(out), module])
    version, found = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return version, {normal(name): said for name, said in found.items()}


class _News:
    """Follows a log and tells the lines that say how far it is."""

    _TELLING = re.compile(
        r"\s*(Collecting \S+|Downloading .+|Installing collected packages"
        r"|Prepared \d+ packages?|Installed \d+ packages?)"
    )

    def __init__(self, log: Path, tell: Tell) -> None:
        self._log, self._tell = log, tell
        self._at = log.stat().st_size
        self._rest = b""

    def look(self) -> None:
        """Tell what came since the last look."""
        with self._log.open("rb") as file:
            file.seek(self._at)
            piece = file.read()
        self._at += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if found := self._TELLING.match(line.decode("utf-8", "replace")):
                self._tell(found[1])


def _settings(base_for_uv: str) -> dict[str, str]:
    """Variables of a step: nobody's PYTHONPATH, and for uv what pip is set up with."""
    env = {"PYTHONPATH": "", "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if base_for_uv:
        asked = [base_for_uv, "-I", "-m", "pip", "config", "list"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        env |= uv_settings(done.stdout, os.environ)
    return env


def uv_settings(config: str, env: Mapping[str, str]) -> dict[str, str]:
    """
    Variables that tell uv what pip knows from *config*, the output of `pip config list`.

    uv reads none of pip's settings, and a mirror that is set for pip alone is what many have
    (0.13). Whatever *env* sets for uv itself is left as it is.
    """
    found: dict[str, list[str]] = {}
    for line in config.splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key.rpartition(".")[2], []).extend(
            shlex.split(value)[0].split() if value else []
        )
    wanted = {
        "UV_DEFAULT_INDEX": found.get("index-url", [])[-1:],
        "UV_INDEX": found.get("extra-index-url", []),
        "UV_FIND_LINKS": found.get("find-links", []),
        "UV_NO_INDEX": found.get("no-index", [])[-1:],
        "SSL_CERT_FILE": found.get("cert", [])[-1:],
    }
    told = {name: list(dict.fromkeys(values)) for name, values in wanted.items() if values}
    separators = {"UV_FIND_LINKS": ","}
    joined = {name: separators.get(name, " ").join(values) for name, values in told.items()}
    # pip takes the best that any index has, and the hashes say whose that may be.
    joined |= {"UV_INDEX_STRATEGY": "unsafe-best-match"} if "UV_INDEX" in joined else {}
    return {name: value for name, value in joined.items() if name not in env}
