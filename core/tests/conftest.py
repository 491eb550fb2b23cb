"""What the core's own tests share: a clean environment, loopback only, made-up plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import local_world as made_up  # noqa: E402
from core_helpers import Site, ok  # noqa: E402

from modelplug import plugins  # noqa: E402
from modelplug.testing import FaultServer, block_network  # noqa: E402

# Shared machines are slow by turns, so no deadline; no folder of examples in the checkout.
settings.register_profile("core", max_examples=50, deadline=None, database=None)
settings.load_profile("core")

_OURS = ("MODELPLUG_", "LAZYLLM_", "OPENAI_")


@pytest.fixture(autouse=True)
def _clean_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No key, no proxy and no setting of the machine is seen, and nothing leaves it."""
    if request.path.parent != HERE:  # the folders below have fixtures of their own
        yield
        return
    for name in list(os.environ):
        if name.startswith(_OURS) or name.lower().endswith(("_api_key", "_proxy")):
            monkeypatch.delenv(name)
    # A config map of the developer's own is no part of a test.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(HERE / "no-such-folder"))
    with block_network():
        yield


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A loopback server that says what a test tells it to."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder on the path to install made-up plugins into; the index is made anew."""
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    before = set(sys.modules)
    plugins.forget()
    yield made
    plugins.forget()
    for name in made.modules & set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def world(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """Only acme, beta and what a test adds are installed; the working directory is empty."""
    site.plugin("acme")
    site.plugin("beta")
    # Whatever else the machine has.
    monkeypatch.setattr(plugins, "scan", partial(plugins.scan, path=[str(site.folder)]))
    known = {"llama_cpp": {"formats": ["gguf"], "types": ["llm", "embed", "rerank"]}}
    monkeypatch.setattr("modelplug.local.engines.ENGINES", known)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return site


@pytest.fixture
def local_world(site: Site, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A made-up runtime, its module; its engines answer from the server."""
    module = made_up.install(site, monkeypatch)
    module.url = server.url
    server.answer(ok())
    return module
