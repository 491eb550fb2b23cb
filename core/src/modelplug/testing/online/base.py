"""What the tests of an online provider share: its replies, a server, and ways to call."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

import modelplug
from modelplug.errors import ModelplugError, Unsupported
from modelplug.plugins import installed
from modelplug.testing.base import Contract
from modelplug.testing.fault_server import FaultServer, Reply, Request
from modelplug.testing.leaks import CANARY
from modelplug.testing.replies import OPENAI, Recorded, Replies

if TYPE_CHECKING:
    from modelplug.catalog import Provider
    from modelplug.types import Limits

Make = Callable[..., Any]
"""`make(type, **options)` gives a model of the provider that speaks to the server."""

Face = Callable[..., Any]
Test = TypeVar("Test", bound=Callable[..., None])


def whole(model: Any, *given: Any, **options: Any) -> Any:
    """The plain call."""
    return model(*given, **options)


def awaited(model: Any, *given: Any, **options: Any) -> Any:
    """The plain call, awaited."""
    return asyncio.run(model.acall(*given, **options))


def streamed(model: Any, *given: Any, **options: Any) -> str:
    """The stream, joined."""
    return "".join(model.stream(*given, **options))


def streamed_async(model: Any, *given: Any, **options: Any) -> str:
    """The async stream, joined."""

    async def run() -> str:
        return "".join([text async for text in model.astream(*given, **options)])

    return asyncio.run(run())


def raised_by(call: Face, *given: Any, **options: Any) -> ModelplugError | None:
    """The error of *call*, or None: for tests of what an error holds, not whether it comes."""
    try:
        call(*given, **options)
    except ModelplugError as error:
        return error
    return None


def events_of(model: Any, *given: Any, **options: Any) -> list[Any]:
    """The typed events."""
    return list(model.events(*given, **options))


def events_of_async(model: Any, *given: Any, **options: Any) -> list[Any]:
    """The typed events, async."""

    async def run() -> list[Any]:
        return [event async for event in model.aevents(*given, **options)]

    return asyncio.run(run())


def respond(model: Any, *given: Any, **options: Any) -> Any:
    """The rich result."""
    return model.respond(*given, **options)


def respond_async(model: Any, *given: Any, **options: Any) -> Any:
    """The rich result, awaited."""
    return asyncio.run(model.arespond(*given, **options))


either_stream = pytest.mark.parametrize("stream", [streamed, streamed_async], ids=["sync", "async"])
either_call = pytest.mark.parametrize("call", [whole, awaited], ids=["sync", "async"])
every_call = pytest.mark.parametrize(
    "call",
    [whole, awaited, streamed, streamed_async],
    ids=["call", "acall", "stream", "astream"],
)


_INPUTS = OPENAI / "inputs"

CALLS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "llm": ("hello", {}),
    "vlm": ("hello", {}),
    "embed": ("hello", {}),
    "cross_modal_embed": ("hello", {}),
    "rerank": ("hello", {"documents": ["d0", "d1"]}),
    "stt": (None, {"files": [_INPUTS / "silence.wav"]}),
    "tts": ("hello", {}),
    "text2image": ("a red kite", {}),
    "image_editing": ("make it blue", {"files": [_INPUTS / "kite.png"]}),
}
"""What a model of each type can be called with, whatever comes back."""

STREAMING: tuple[Face, ...] = (streamed, streamed_async, events_of, events_of_async)

A_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "the time",
        "parameters": {"type": "object", "properties": {}},
    },
}


def for_type(type: str, *capabilities: str) -> Callable[[Test], Test]:
    """
    The test is about models of *type* that have *capabilities*, and that stream if it is
    given a face that does. A provider whose manifest lacks one of these must say Unsupported.
    """

    def mark(test: Test) -> Test:
        @functools.wraps(test)
        def run(self: OnlineBase, *given: Any, **fixtures: Any) -> None:
            streams = any(value is face for value in fixtures.values() for face in STREAMING)
            needed = {*capabilities, *(["stream"] if streams else [])}
            if type not in self.provider.types:
                self.check_unsupported(type)
            elif lacking := needed.difference(self.does(type)):
                self.check_incapable(fixtures["make"](type), lacking)
            else:
                test(self, *given, **fixtures)

        return run  # type: ignore[return-value]  # wraps keeps the signature

    return mark


class OnlineBase(Contract):
    """
    What a provider's test class says about itself.

    `plugin` is its name as `source=`. `model` is called for chat; `models` names others by
    type, and a type without one gets the manifest's default. `replies` is a folder of
    recorded replies with an expected.toml (see modelplug.testing.replies). With `wire`
    "openai" the replies that it lacks are the kit's own; with "own" there are none but its.
    `base_path` is what the base URL ends with; `an_option` a call option that it knows;
    `patience` the seconds after which a call is given up whose reply is held back until
    some of it came through.
    """

    plugin: ClassVar[str]
    model: ClassVar[str] = ""
    models: ClassVar[Mapping[str, str]] = {}
    replies: ClassVar[str | Path | None] = None
    wire: ClassVar[str] = "openai"
    base_path: ClassVar[str] = "/v1"
    an_option: ClassVar[str] = "temperature"
    patience: ClassVar[float] = 30.0

    # For a wire of its own.

    def key_is_sent(self, request: Request) -> bool:
        """Whether *request* carries the key. Override it where the key only signs."""
        return request.headers.get("authorization") == f"Bearer {CANARY}"

    def embedded_texts(self, request: Request) -> list[str]:
        """The texts that an embedding request sends."""
        inputs = request.json["input"]
        return [inputs] if isinstance(inputs, str) else list(inputs)

    def embed_reply(self, vectors: Sequence[Sequence[float]]) -> Reply:
        """The reply that holds *vectors* in order."""
        items = ",".join(
            f'{{"object":"embedding","index":{at},"embedding":{list(vector)}}}'
            for at, vector in enumerate(vectors)
        )
        usage = f'{{"prompt_tokens":{len(vectors)},"total_tokens":{len(vectors)}}}'
        body = f'{{"object":"list","model":"m","data":[{items}],"usage":{usage}}}'
        return Reply(200, {"content-type": "application/json"}, body.encode())

    # What the tests use.

    @property
    def provider(self) -> Provider:
        """What the manifest says."""
        return installed().provider(self.plugin)

    @classmethod
    def recorded(cls) -> Replies:
        """The replies of this provider, and those of the kit for what they lack."""
        own = [Path(cls.replies)] if cls.replies is not None else []
        return _replies(*own, *([OPENAI] if cls.wire == "openai" else []))

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """One case for each recorded answer, and for each recorded error."""
        for name, select in (("answer", Replies.answers), ("failure", Replies.errors)):
            if name in metafunc.fixturenames:
                found = select(cls.recorded())
                metafunc.parametrize(name, found, ids=[recorded.file for recorded in found])

    @pytest.fixture
    def server(self) -> Iterator[FaultServer]:
        """A loopback server with nothing to say yet."""
        with FaultServer() as server:
            yield server

    @pytest.fixture
    def make(self, server: FaultServer) -> Iterator[Make]:
        """Makes models that speak to the server, and closes them."""
        made: list[Any] = []

        def make(type: str = "llm", **options: Any) -> Any:
            settings = {
                "url": server.origin + self.base_path,
                "api_key": CANARY,
                **options,
            }
            model = modelplug.OnlineModule(
                self.model_name(type), source=self.plugin, type=type, **settings
            )
            made.append(model)
            return model

        yield make
        for model in made:
            model.close()

    def does(self, type: str) -> frozenset[str]:
        """What the manifest says that the model for *type* can do."""
        provider = self.provider
        return provider.for_model(self.model_name(type) or provider.types[type])[0]

    def limits(self, type: str) -> Limits:
        """What the manifest says that one request to the model for *type* may hold."""
        provider = self.provider
        return provider.for_model(self.model_name(type) or provider.types[type])[1]

    def model_name(self, type: str) -> str | None:
        """The model that is called for *type*; None for the manifest's default."""
        if type in self.models:
            return self.models[type]
        return self.model or None if type == "llm" else None

    def check_unsupported(self, type: str, **options: Any) -> None:
        """A model of *type* cannot be made, and the error says which provider and type."""
        with pytest.raises(Unsupported) as caught:
            modelplug.OnlineModule(
                self.model_name(type) or "some-model",
                source=self.plugin,
                type=type,
                url="http://127.0.0.1:9" + self.base_path,
                api_key=CANARY,
                **options,
            )
        assert self.plugin in str(caught.value)
        assert type in str(caught.value)

    def check_incapable(self, model: Any, lacking: Iterable[str]) -> None:
        """Each capability that the manifest does not declare is refused by name."""
        for capability in lacking:
            if capability == "stream":
                error = raised_by(streamed, model, "hello")
            else:
                error = raised_by(model, "hello", tools=[A_TOOL])
            assert isinstance(error, Unsupported)
            assert self.plugin in str(error)
            assert capability in str(error)

    def serve(self, server: FaultServer, recorded: Recorded, **changes: Any) -> None:
        """Let *server* say what was recorded, changed, to every call."""
        server.answer(*(reply.but(**changes) for reply in recorded.replies_from(server.origin)))


@functools.cache
def _replies(*folders: Path) -> Replies:
    return Replies(*folders)
