"""Weights made here, and the folder of modelplug's own files for one module of tests alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplug_sherpa_onnx.testing import make_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voice that hums letters."""
    return make_weights(tmp_path_factory.mktemp("weights") / "hum")


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """MODELPLUG_HOME."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(folder))
        yield folder
