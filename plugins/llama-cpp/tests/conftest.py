"""The tiny weights, served for real."""

from __future__ import annotations

import http.client
import json
import math
import random
import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from modelplug.runtime import Engine
from modelplug.types import Deployment, ModelType, Plan, Secret, Weights
from modelplug_llama_cpp import plugin
from modelplug_local import runtime
from modelplug_local.testing import DEADLINE, Family


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


def _gguf(values: dict[str, object], tensors: dict[str, list[int]]) -> bytes:
    """A GGUF file with random tensors; each shape has the fastest dimension first."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def pair(key: str, value: object) -> bytes:
        match value:
            case bool():
                return text(key) + struct.pack("<I?", 7, value)
            case int():
                return text(key) + struct.pack("<II", 4, value)
            case float():
                return text(key) + struct.pack("<If", 6, value)
            case str():
                return text(key) + struct.pack("<I", 8) + text(value)
        assert isinstance(value, list)
        return text(key) + struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(pair(key, value) for key, value in values.items())
    dice, data = random.Random(2), b""
    for name, shape in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", 0, len(data))
        count = math.prod(shape)
        data += struct.pack(f"<{count}f", *(dice.gauss(0, 0.05) for _ in range(count)))
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


@pytest.fixture(scope="session")
def projector() -> bytes:
    """A vision encoder of one layer that fits tiny: 16 tokens for an image, and no sense."""
    width, hidden, patch, image = 32, 64, 8, 32
    vision = "clip.vision"
    values: dict[str, object] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        f"{vision}.image_size": image,
        f"{vision}.patch_size": patch,
        f"{vision}.embedding_length": width,
        f"{vision}.feed_forward_length": hidden,
        f"{vision}.projection_dim": 128,
        f"{vision}.block_count": 1,
        f"{vision}.attention.head_count": 2,
        f"{vision}.attention.layer_norm_epsilon": 1e-5,
        f"{vision}.image_mean": [0.5, 0.5, 0.5],
        f"{vision}.image_std": [0.5, 0.5, 0.5],
    }
    tensors = {
        "v.patch_embd.weight": [patch, patch, 3, width],
        "v.class_embd": [width],
        "v.position_embd.weight": [width, (image // patch) ** 2 + 1],
    }
    layers = {"mm.0": (width, hidden), "mm.2": (hidden, 128)}
    layers |= {f"v.blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "out")}
    layers |= {"v.blk.0.ffn_up": (width, hidden), "v.blk.0.ffn_down": (hidden, width)}
    for name, (inside, outside) in layers.items():
        tensors |= {f"{name}.weight": [inside, outside], f"{name}.bias": [outside]}
    for name in ("v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        tensors |= {f"{name}.weight": [width], f"{name}.bias": [width]}
    return _gguf(values, tensors)


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
