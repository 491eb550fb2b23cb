"""The environments, made by the command; and the engines that run in them, each started once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shared import Start

import modelplug as mp


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of modelplug's own files: MODELPLUG_HOME, kept between runs, else a new one."""
    with pytest.MonkeyPatch.context() as patch:
        if "MODELPLUG_HOME" not in os.environ:
            patch.setenv("MODELPLUG_HOME", str(tmp_path_factory.mktemp("home")))
        yield Path(os.environ["MODELPLUG_HOME"])


@pytest.fixture(scope="session")
def install(home: Path) -> Callable[[str], None]:
    """`install(name)`: its environments, made as a user makes them; at once if they are there."""

    def install(name: str) -> None:
        command = [sys.executable, "-m", "modelplug_cli", "engine", "install", name]
        subprocess.run([*command, "--device", "cpu"], check=True)  # noqa: S603

    return install


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """`start(weights, engine, **options)`: started at the first call, ended with the session."""
    running: dict[str, Any] = {}

    def start(weights: str, engine: Any, type: str | None = None, **options: Any) -> Any:
        key = repr((weights, engine.name, type, sorted(options.items())))
        if key not in running:
            model = mp.TrainableModule(weights, type=type).deploy_method(engine, **options)
            running[key] = model.start()
        return running[key]

    yield start
    for model in running.values():
        model.stop()
