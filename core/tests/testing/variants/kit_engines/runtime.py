"""As little of `modelplug.runtime` as the contract needs: no restarts, no guard, no cache."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelplug.errors import EngineFailed
from modelplug.runtime import Device, PlanFor
from modelplug.types import ModelType, Plan, Secret, Weights


class Engine:
    def __init__(self, plan: Plan, port: int, token: Secret) -> None:
        self.url = f"http://127.0.0.1:{port}{plan.base}"
        self.token = token
        self.model = plan.model
        self.status = "starting"
        self.log_path = Path(plan.argv[4]).with_name(f"engine-{port}.log")
        self._ready = f"http://127.0.0.1:{port}{plan.ready}"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                plan.argv, env=os.environ | dict(plan.env), stdout=log, stderr=log
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.poll() is None else None

    def wait(self, timeout: float | None = None) -> None:
        while self.status == "starting":
            if self._process.poll() is not None:
                self.status = "failed"
                break
            try:
                urllib.request.urlopen(self._ready, timeout=5).close()
                self.status = "ready"
            except (urllib.error.URLError, ConnectionError):
                # Refused until it listens; the process itself says when to give up.
                subprocess.run(["sleep", "0.02"], check=True)
        if self.status == "failed":
            told = self.log_path.read_text(encoding="utf-8").strip()
            msg = f"the engine ended with status {self._process.returncode}: {told}"
            raise EngineFailed(msg, log_path=str(self.log_path))

    @contextmanager
    def use(self) -> Iterator["Engine"]:
        yield self

    def ended(self, within: float) -> bool:
        return self.pid is None

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self.status = "failed" if self.status == "failed" else "stopped"


class Runtime:
    def find(
        self,
        model: str,
        *,
        formats: Sequence[str],
        type: ModelType | None = None,
        source: str | None = None,
        download: bool = True,
    ) -> Weights:
        return Weights(model, Path(model), "gguf", ModelType.LLM)

    def kind_of(self, model: str) -> tuple[ModelType, str] | None:
        return None

    def interpreter(self, name: str, traits: object, given: str | None = None) -> str:
        return given or sys.executable

    def devices(self) -> Sequence[Device]:
        return ()

    def launch(self, name: str, plan_for: PlanFor, **asked: object) -> Engine:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        token = Secret(os.urandom(16).hex())
        return Engine(plan_for("127.0.0.1", port, token), port, token)


runtime = Runtime()
