"""Fixtures of all tests here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplug_local.testing import Family
from modelplug_local.weights.testing_hub import Hub

sys.path.insert(0, str(Path(__file__).parent))  # modules that several tests share


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of modelplug's own files, for one test alone."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MODELPLUG_HOME", str(folder))
    return folder


@pytest.fixture
def family() -> Iterator[Family]:
    """Processes of which none may be left when the test ends."""
    made = Family()
    yield made
    made.wait_until_gone()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a process that knows no hub, no token and no other folder."""
    for name in list(os.environ):
        if name.startswith(("HF_", "MODELSCOPE_", "MODELPLUG_M", "MODELPLUG_HU", "LAZYLLM_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "cache"
    monkeypatch.setenv("MODELPLUG_MODEL_CACHE_DIR", str(folder))
    # What the clients keep of their own.
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "ms"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms-cache"))
    monkeypatch.setenv("MODELSCOPE_DOWNLOAD_MAX_RETRIES", "2")
    monkeypatch.delenv("MODELPLUG_OFFLINE", raising=False)
    return folder


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Both hubs, on loopback."""
    with Hub() as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
