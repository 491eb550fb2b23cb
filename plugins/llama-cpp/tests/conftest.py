"""The tiny weights, served for real."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen

sys.path.insert(0, str(Path(__file__).parent))  # modules that several tests share

from made_gguf import made_adapter, made_projector  # noqa: E402

from modelplug.runtime import Engine  # noqa: E402
from modelplug.types import Deployment, ModelType, Plan, Secret, Weights  # noqa: E402
from modelplug_llama_cpp import plugin  # noqa: E402
from modelplug_local import runtime  # noqa: E402
from modelplug_local.testing import DEADLINE, Family  # noqa: E402


@frozen
class Served:
    """An engine and a client of it that knows nothing of modelplug."""

    engine: Engine

    def post(self, path: str, body: object, token: str | None = None) -> tuple[int, Any]:
        """The status and the parsed body."""
        with self._connect() as connection:
            response = self._send(connection, path, body, token)
            return response.status, json.load(response)

    def events(self, path: str, body: object) -> Generator[Any, None, None]:
        """The data of each server-sent event as it arrives, without `[DONE]`."""
        with self._connect() as connection:
            response = self._send(connection, path, body)
            assert 200 == response.status
            for line in response:
                data = line.strip().removeprefix(b"data: ")
                if line.startswith(b"data: ") and data != b"[DONE]":
                    yield json.loads(data)

    def headers(self, method: str, path: str, origin: str) -> dict[str, str]:
        """The headers that a web page's call gets."""
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        with self._connect() as connection:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return {name.lower(): value for name, value in response.getheaders()}

    def _connect(self) -> closing[http.client.HTTPConnection]:
        netloc = urlsplit(self.engine.url).netloc
        return closing(http.client.HTTPConnection(netloc, timeout=DEADLINE))

    def _send(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: object,
        token: str | None = None,
    ) -> http.client.HTTPResponse:
        token = self.engine.token.reveal() if token is None else token
        connection.request(
            "POST",
            urlsplit(self.engine.url).path + path,
            json.dumps(body),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        return connection.getresponse()


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Where modelplug-tiny keeps its GGUF files."""
    spec = find_spec("modelplug_tiny")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "weights"


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of modelplug's own files, for one module of tests alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """`serve(path, type=..., **options)`: a ready engine on weights; ended after the module."""
    engines: list[Engine] = []

    def serve(path: Path, type: ModelType | None = None, **options: object) -> Served:
        weights = runtime.find(str(path), formats=["gguf"], type=type)

        def plan_for(host: str, port: int, token: Secret) -> Plan:
            plan = plugin.deploy_local(Deployment(weights, options, host, port, token))
            assert plan is not None
            return plan

        engine = runtime.launch(weights.name, plan_for)
        engines.append(engine)
        engine.wait(DEADLINE)
        return Served(engine)

    yield serve
    for engine in engines:
        engine.stop()


@pytest.fixture(scope="session")
def projector() -> bytes:
    """A vision encoder of one layer that fits tiny: 16 tokens for an image, and no sense."""
    return made_projector()


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of tiny, with random numbers large enough to change what it says."""
    path = tmp_path_factory.mktemp("adapter") / "lora.gguf"
    path.write_bytes(made_adapter())
    return path


@pytest.fixture
def family() -> Iterator[Family]:
    """Processes of which none may be left when the test ends."""
    made = Family()
    yield made
    made.wait_until_gone()


@pytest.fixture
def deployment(tmp_path: Path) -> Callable[..., Deployment]:
    """A deployment that is only planned, never run."""

    def make(type: str = "llm", trained: int | None = 1024, **options: object) -> Deployment:
        weights = Weights("m", tmp_path / "m.gguf", "gguf", ModelType(type), trained)
        return Deployment(weights, options, "127.0.0.1", 20001, Secret("canary"))

    return make
