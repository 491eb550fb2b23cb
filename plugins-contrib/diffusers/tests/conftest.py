"""Weights made here, and the folder of modelplug's own files for one module of tests alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplug_diffusers.testing import make_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion that draws noise."""
    return make_weights(tmp_path_factory.mktemp("weights") / "noise")


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """MODELPLUG_HOME."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(folder))
        yield folder
