"""Made-up plugins, endpoints and replies for the tests beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from modelplug.retry import Retry
from modelplug.testing import Reply
from modelplug.types import ChatCall, Endpoint, Event, Secret
from modelplug.wire import Codec, Flow, Request, Response

KEY = "sk-hostile-3Zq8"
AT_ONCE = Retry(base=0.0, longest=0.0)
"""Tries as often as usual and waits for nothing."""

ENDPOINT = Endpoint(
    provider="acme",
    model="acme-1",
    url="http://127.0.0.1:9/v1",
    api_key=Secret(KEY),
    does=frozenset({"stream", "tools", "image-input"}),
    retry=AT_ONCE,
)
CALL = ChatCall("acme-1", [{"role": "user", "content": "2+2?"}])

PROVIDER = """
[create_online.{name}]
title = "{name}"
base-url = "{url}"
key-env = ["{variable}_API_KEY"]
does = ["stream", "tools", "image-input"]
[create_online.{name}.types]
llm = "{name}-1"
embed = "{name}-embed"
rerank = "{name}-rerank"
[create_online.{name}.models]
"{name}-embed*" = "embed"
"{name}-rerank*" = "rerank"
"{name}-*" = "llm"
"""
COMPATIBLE = """
from modelplug.openai_wire import OpenAICompatible
plugin = OpenAICompatible()
"""


RUNTIME = """
from pathlib import Path
from modelplug.runtime import Download, Sighting
from modelplug.types import ModelType, Weights
class Runtime:
    def look(self, model, *, formats, type=None, source=None):
        if model.startswith("far"):
            return Sighting(None, Download("modelscope", f"org/{model}", ["*.gguf"], 1_200_000_000))
        if not model.startswith("here"):
            return Sighting(None, None, ["the cache: nothing there"])
        kind = type or ModelType("embed" if "embed" in model else "llm")
        return Sighting(Weights(model, Path("/weights") / model, "gguf", kind), None)
    def kind_of(self, model):
        return (ModelType.EMBED, "the catalogue") if model == "far-embed" else None
    def interpreter(self, name, traits, given=None):
        return given or "python"
    def devices(self):
        return ()
runtime = Runtime()
"""
ENGINE = """
[deploy_local.quick]
title = "Quick"
formats = ["gguf"]
types = ["llm"]
options = ["threads"]
"""


class Site:
    """A folder as pip leaves it: modules and dist-info folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def metadata(self, distribution: str, entry_points: str, *, version: str = "0.1.0") -> Path:
        """The dist-info folder of one distribution."""
        folder = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (folder / "METADATA").write_text(head)
        (folder / "entry_points.txt").write_text(dedent(entry_points))
        return folder

    def module(self, name: str, source: str, manifest: str | None = None) -> Path:
        """The package *name* with its manifest."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "__init__.py").write_text(dedent(source))
        if manifest is not None:
            (folder / "modelplug.toml").write_text(manifest)
        self.modules.add(name)
        return folder

    def plugin(
        self,
        name: str,
        *,
        group: str = "create_online",
        source: str = COMPATIBLE,
        manifest: str | None = None,
    ) -> str:
        """One distribution `modelplug-<name>` that provides *name*; gives its module's name."""
        module = f"site_{name.replace('-', '_')}"
        self.module(module, source, provider(name) if manifest is None else manifest)
        self.metadata(f"modelplug-{name}", f"[modelplug.{group}]\n{name} = {module}:plugin\n")
        return module


def engine(site: Site) -> None:
    """An engine and a runtime that has the weights whose names begin with `here`."""
    site.module("site_quick", "plugin = None", ENGINE)
    site.metadata("modelplug-quick", "[modelplug.deploy_local]\nquick = site_quick:plugin\n")
    site.module("site_runtime", RUNTIME)
    site.metadata("modelplug-runtime", "[modelplug.runtime]\nlocal = site_runtime:runtime\n")


def provider(name: str, url: str = "https://acme.test/v1") -> str:
    """The manifest of an online provider."""
    return PROVIDER.format(name=name, url=url, variable=name.upper().replace("-", "_"))


def chat_body(text: str = "4", **changes: Any) -> bytes:
    """A chat completion in one piece."""
    message = {"role": "assistant", "content": text}
    reply = {
        "id": "c1",
        "model": "acme-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19},
    }
    return json.dumps(reply | changes).encode()


def sse(*chunks: Any, done: bool = True) -> bytes:
    """Chunks, as objects or as text, as a `text/event-stream`."""
    told = [each if isinstance(each, str) else json.dumps(each) for each in chunks]
    return "".join(f"data: {each}\n\n" for each in [*told, *(["[DONE]"] if done else [])]).encode()


def delta(_finish: str | None = None, /, **fields: Any) -> dict[str, Any]:
    """One chunk with a delta of *fields*."""
    return {"id": "c1", "choices": [{"index": 0, "delta": fields, "finish_reason": _finish}]}


def chat_stream(*pieces: str) -> bytes:
    """A whole stream of *pieces* that ends well."""
    return sse(*(delta(content=piece) for piece in pieces), delta("stop"))


def ok(body: bytes = b"", **headers: str) -> Reply:
    """A reply of JSON with status 200."""
    return Reply(200, {"content-type": "application/json", **headers}, body or chat_body())


def streaming(body: bytes | list[Any], **changes: Any) -> Reply:
    """A reply that streams."""
    return Reply(200, {"content-type": "text/event-stream"}, body, **changes)


def failing(status: int, body: bytes = b"{}", **headers: str) -> Reply:
    """An error that asks for no wait before the next try."""
    kind = {"content-type": "application/json", "retry-after": "0"}
    return Reply(status, kind | {k.replace("_", "-"): v for k, v in headers.items()}, body)


def finish(flow: Flow[Any], *answers: Response | BaseException) -> tuple[Any, list[Request]]:
    """Drive *flow* by hand with *answers*; gives its result and the requests it made."""
    requests: list[Any] = []
    try:
        step: Any = next(flow)
        for answer in answers:
            requests.append(step)
            step = flow.throw(answer) if isinstance(answer, BaseException) else flow.send(answer)
    except StopIteration as stop:
        return stop.value, requests
    raise AssertionError(f"the flow wants more after {len(requests)} requests: {step!r}")


def stream_of(
    codec: Codec[Any, Any], call: Any, body: bytes | Iterable[bytes], **head: Any
) -> list[Event]:
    """The events that *codec* makes of a streamed reply with *body*."""
    seen: list[Event] = []
    into(seen, codec, call, body, **head)
    return seen


def into(
    seen: list[Event], codec: Codec[Any, Any], call: Any, body: bytes | Iterable[bytes], **head: Any
) -> None:
    """As `stream_of`, and what came before an error is in *seen*."""
    flow = codec.stream(call)
    assert isinstance(next(flow), Request)
    step: Any = flow.send(Response(200, head, streaming=True))
    ended: Any = None
    try:
        for chunk in [body] if isinstance(body, bytes) else body:
            assert not isinstance(step, Request)
            seen += step
            step = flow.send(chunk)
        seen += step
        ended = flow.send(None)
        seen += ended
        flow.send(None)
    except StopIteration:
        return
    raise AssertionError("the flow did not end with the body")


def python(
    code: str, *arguments: str, env: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run *code* in a fresh interpreter with this one's path."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, *flags, "-c", dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
