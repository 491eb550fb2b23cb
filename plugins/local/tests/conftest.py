"""Fixtures of all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplug_local.testing import Family


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
