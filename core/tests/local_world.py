"""A made-up runtime and engine: what was asked of them is in the runtime's module."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import pytest
from core_helpers import Site

from modelplug import plugins

RUNTIME = """
import contextlib
from pathlib import Path
from modelplug.errors import ConfigError
from modelplug.runtime import Device
from modelplug.types import ModelType, Secret, Weights

log = []
url = ""

class Engine:
    token, model, log_path, pid = Secret("engine-token"), "served", Path("/log"), None
    def __init__(self):
        self.status, self.url = "starting", url
    @contextlib.contextmanager
    def use(self):
        yield self
    def ended(self, within):
        return self.status != "ready"
    def wait(self, timeout=None):
        log.append("wait")
        self.status = "ready"
        for act in while_waiting:
            act()
    def stop(self):
        log.append("stop")
        self.status = "stopped"

class Runtime:
    def find(self, model, *, formats, type=None, source=None, download=True):
        log.append(("find", model, formats, type, source, download))
        return Weights(model, Path("/w"), formats[0], type or ModelType.LLM)
    def kind_of(self, model):
        return (ModelType.EMBED, "its name") if "embed" in model else None
    def interpreter(self, name, traits, given=None):
        if name in absent:
            raise ConfigError(absent[name])
        return given or "/own/python"
    def devices(self):
        return [Device("cpu", "1 CPU", 8, 4)]
    def launch(self, name, plan_for, **asked):
        plans.append((plan_for("127.0.0.1", 5, Secret("t")), asked))
        log.append(("plan", plans[-1][0].argv))
        engines.append(Engine())
        return engines[-1]

engines, while_waiting, plans, absent = [], [], [], {}
runtime = Runtime()
"""
ENGINE = """
[deploy_local.quick]
title = "Quick"
formats = ["gguf", "safetensors"]
types = ["llm", "embed", "tts"]
options = ["threads"]
call-options = ["top_k"]
does = ["stream"]
"""
PLUGIN = """
from modelplug import hookimpl
from modelplug.types import Memory, Plan
class Plugin:
    def __init__(self, name):
        self.name = name
    @hookimpl
    def deploy_local(self, deployment):
        if deployment.weights.name == "impossible":
            return None
        told = [deployment.weights.name, str(dict(deployment.options)), str(deployment.port)]
        env = {
            "ENGINE": self.name,
            "PYTHON": deployment.python,
            "TRUSTED": str(deployment.trust_remote_code),
        }
        return Plan(told, env, memory=Memory("cpu", {"weights": 1}))
plugin, better = Plugin("quick"), Plugin("better")
"""


def install(site: Site, patch: pytest.MonkeyPatch) -> Any:
    """Put both on *site*, and nothing else; the runtime's module."""
    patch.setattr(plugins, "scan", partial(plugins.scan, path=[str(site.folder)]))
    site.module("site_quick", PLUGIN, ENGINE)
    site.metadata("modelplug-quick", "[modelplug.deploy_local]\nquick = site_quick:plugin\n")
    site.module("site_runtime", RUNTIME)
    site.metadata("modelplug-local", "[modelplug.runtime]\nlocal = site_runtime:runtime\n")
    plugins.forget()
    plugins.installed().runtime()
    return sys.modules["site_runtime"]


def add_engine(site: Site, name: str, **keys: object) -> None:
    """Let the made-up plugin provide a further engine."""
    table = {"title": name, "formats": ["gguf"], "types": ["llm"], **keys}
    lines = [f"[deploy_local.{name}]", *(f"{key} = {value!r}" for key, value in table.items())]
    manifest = site.folder / "site_quick" / "modelplug.toml"
    manifest.write_text(manifest.read_text() + "\n".join(lines) + "\n")
    points = next(site.folder.glob("modelplug_quick-*.dist-info")) / "entry_points.txt"
    points.write_text(points.read_text() + f"{name} = site_quick:{name}\n")
    plugins.forget()
