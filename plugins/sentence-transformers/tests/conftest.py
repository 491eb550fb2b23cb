"""Real engines on the tiny weights, and what sentence-transformers gives when called directly."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen

import modelplug as mp
from modelplug_local.testing import Family

HERE = Path(__file__).parent
DEADLINE = 300.0
"""Seconds: the machines that run this import torch side by side."""

WORDS = "a red kite flies over the green house on a hill and the stone lies still".split()
TEXTS = ["a red kite", "", "stone", "一只红色的风筝", " ".join(WORDS * 20), "x" * 300] + [
    " ".join(WORDS[at % 7 : at % 7 + 1 + at % 9] * (1 + at % 5)) for at in range(34)
]

TOO_LONG = " ".join(WORDS * 60)
QUERY = "What flies?"
DOCUMENTS = ["A stone lies.", "A kite flies.", "", *TEXTS[:8]]


def png(red: int, width: int = 40, height: int = 30, rows_told: int = 30) -> bytes:
    """An image whose rows differ; its head may tell of more than there are."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    rows = b"".join(b"\0" + bytes([red, 9 * y % 256, 40]) * width for y in range(height))
    head = struct.pack(">IIBBBBB", width, rows_told, 8, 2, 0, 0, 0)
    packed = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + packed


@frozen
class Folders:
    """
    Weights: the tiny embedder with prompts, and without but with a graph in ONNX; the tiny
    reranker; a CLIP-like model and a classifier; a model that attends to near tokens alone and
    one that counts places from the padding's number; a graph of other weights.
    """

    embed: Path
    rerank: Path
    clip: Path
    classifier: Path
    near: Path
    offset: Path
    graph: Path
    other_graph: Path
    images: tuple[Path, ...]


@frozen
class Direct:
    """What sentence-transformers gave: vectors by (weights, method), scores by weights."""

    folders: Folders
    found: dict[str, Any]

    def vectors(self, folder: Path, method: str = "encode") -> list[list[float]]:
        """Of the texts that `asked` names."""
        vectors: list[list[float]] = self.found[str(folder)][method]
        return vectors

    @property
    def scores(self) -> list[float]:
        """Of QUERY with each of DOCUMENTS."""
        scores: list[float] = self.found[str(self.folders.rerank)]
        return scores


@pytest.fixture(scope="session")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Direct:
    """Made and computed once, by a program of its own."""
    spec = find_spec("modelplug_tiny")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tiny = Path(next(iter(spec.submodule_search_locations))) / "weights"
    made = tmp_path_factory.mktemp("weights")
    images = []
    for red in (250, 90):
        images.append(made / f"{red}.png")
        images[-1].write_bytes(png(red))
    folders = Folders(
        embed=made / "embed",
        rerank=tiny / "tiny-rerank",
        clip=made / "clip",
        classifier=made / "classifier",
        near=made / "near",
        offset=made / "offset",
        graph=made / "graph",
        other_graph=made / "other.onnx",
        images=tuple(images),
    )
    shutil.copytree(tiny / "tiny-embed", folders.embed)
    shutil.copytree(tiny / "tiny-embed", folders.graph)
    prompts = {"query": "what is ", "document": "text: ", "loud": "HEAR "}
    told = {"prompts": prompts, "default_prompt_name": "loud"}
    (folders.embed / "config_sentence_transformers.json").write_text(json.dumps(told))
    few = TEXTS[:4]
    asked = {
        "clip": str(folders.clip),
        "classifier": str(folders.classifier),
        "near": str(folders.near),
        "offset": str(folders.offset),
        "graphs": [
            [str(folders.graph), str(folders.graph / "onnx/model.onnx"), 1.0],
            [str(folders.graph), str(folders.other_graph), 1.5],
        ],
        "embed": {
            str(folders.embed): {
                "encode": TEXTS,
                "encode@long": [TOO_LONG],
                "encode_query": few,
                "encode_document": few,
            },
            str(folders.graph): {"encode": ["a red kite"]},
            str(folders.near): {"encode": TEXTS},
            str(folders.offset): {"encode": TEXTS},
            str(folders.clip): {
                "encode": ["a red kite", "stone"],
                "encode@images": [{"image": str(path)} for path in images],
            },
        },
        "rerank": {str(folders.rerank): [(QUERY, document) for document in DOCUMENTS]},
    }
    told_all = subprocess.run(
        [sys.executable, str(HERE / "direct.py"), json.dumps(asked)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=DEADLINE,
    )
    return Direct(folders, json.loads(told_all.stdout))


@pytest.fixture(scope="session")
def folders(direct: Direct) -> Folders:
    """The weights."""
    return direct.folders


@frozen
class Served:
    """An engine, and a client of it that knows nothing of modelplug."""

    model: mp.TrainableModule

    def post(
        self, path: str, body: object, token: str | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """The status, the parsed body, and the headers, their names in lower case."""
        address = urlsplit(self.model.url)
        key = self.model.api_key
        assert key is not None
        given = key.reveal() if token is None else token
        headers = {"Authorization": f"Bearer {given}", "Content-Type": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with closing(http.client.HTTPConnection(address.netloc, timeout=DEADLINE)) as connection:
            connection.request("POST", address.path + path, data, headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, json.load(response), told

    def vectors(self, given: object, **options: object) -> list[list[float]]:
        """What it makes of *given*."""
        status, reply, _ = self.post("/embeddings", {"input": given, **options})
        assert 200 == status, reply
        return [item["embedding"] for item in reply["data"]]


Serve = Callable[..., Served]


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of modelplug's own files, for one module of tests alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def serve(home: Path) -> Iterator[Serve]:
    """`serve(folder, type, **options)`: a started engine, ended after the module."""
    made: list[mp.TrainableModule] = []

    def serve(folder: Path, type: str, **options: Any) -> Served:
        model = mp.TrainableModule(str(folder), type=type)
        made.append(model.deploy_method(mp.deploy.sentence_transformers, threads=1, **options))
        model.start()
        return Served(model)

    yield serve
    for model in made:
        model.stop()


@pytest.fixture(scope="module")
def embedder(serve: Serve, folders: Folders) -> Served:
    """The tiny embedder."""
    return serve(folders.embed, "embed")


@pytest.fixture(scope="module")
def reranker(serve: Serve, folders: Folders) -> Served:
    """The tiny reranker."""
    return serve(folders.rerank, "rerank")


@pytest.fixture(scope="module")
def clip(serve: Serve, folders: Folders) -> Served:
    """The CLIP-like model."""
    return serve(folders.clip, "cross_modal_embed")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Forty of many lengths, the longest well within 512 tokens."""
    return TEXTS


@pytest.fixture(scope="session")
def long() -> str:
    """A text of 1322 tokens and more."""
    return TOO_LONG


@pytest.fixture(scope="session")
def query() -> str:
    """What `direct.scores` are for."""
    return QUERY


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """What `direct.scores` are for."""
    return DOCUMENTS


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """A small file whose head promises 49 million pixels."""
    return png(250, 7000, 1, rows_told=7000)


@pytest.fixture
def family() -> Iterator[Family]:
    """Processes of which none may be left when the test ends."""
    made = Family()
    yield made
    made.wait_until_gone()
