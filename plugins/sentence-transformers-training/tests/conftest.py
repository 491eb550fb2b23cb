"""What the tests train on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from modelplug_training.testing import Trial


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Where modelplug-tiny keeps its folders of safetensors."""
    spec = find_spec("modelplug_tiny")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "weights"


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A folder for one training."""
    return Trial(tmp_path)
