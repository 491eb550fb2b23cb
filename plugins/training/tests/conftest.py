"""The scripted trainer as an installed plugin, the tiny weights, and a home for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from modelplug import plugins
from modelplug_local.testing import Family

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of modelplug's own files, for one test alone; one thread, and no network."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MODELPLUG_HOME", str(folder))
    monkeypatch.setenv("MODELPLUG_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The trainers `scripted` and `absent`, installed as pip leaves them; the first one's name."""
    site = tmp_path / "site"
    shutil.copytree(HERE / "scripted", site / "scripted_trainer")
    metadata = site / "scripted_trainer-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: scripted-trainer\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[modelplug.finetune]\nscripted = scripted_trainer:plugin\n"
        "absent = scripted_trainer:plugin\n"
    )
    monkeypatch.syspath_prepend(str(site))
    plugins.forget()
    yield "scripted"
    plugins.forget()


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Where modelplug-tiny keeps its weights."""
    spec = find_spec("modelplug_tiny")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "weights"


@pytest.fixture
def family() -> Iterator[Family]:
    """Processes of which none may be left when the test ends."""
    made = Family()
    yield made
    made.wait_until_gone()
