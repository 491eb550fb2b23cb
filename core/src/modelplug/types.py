"""What goes in and out: frozen values shared by the core, codecs and plugins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from attrs import field, frozen

from modelplug.errors import ConfigError, did_you_mean
from modelplug.media import Media, Remote
from modelplug.retry import Retry
from modelplug.rotation import Rotation

__all__ = [
    "Attempt",
    "ChatCall",
    "Completion",
    "Deployment",
    "EmbedCall",
    "Embeddings",
    "Endpoint",
    "Event",
    "Fingerprint",
    "Finish",
    "ImageCall",
    "Limits",
    "ModelType",
    "Plan",
    "Produced",
    "Quirks",
    "Ranking",
    "Reasoning",
    "RerankCall",
    "Reset",
    "Secret",
    "Segment",
    "SpeakCall",
    "Text",
    "Timeouts",
    "ToolCall",
    "ToolCallDelta",
    "TranscribeCall",
    "Transcript",
    "Usage",
    "Weights",
]


class ModelType(StrEnum):
    """What a model does. `sd` is read as `text2image`; a member equals its own text."""

    LLM = "llm"
    VLM = "vlm"
    EMBED = "embed"
    CROSS_MODAL_EMBED = "cross_modal_embed"
    RERANK = "rerank"
    STT = "stt"
    TTS = "tts"
    TEXT2IMAGE = "text2image"
    IMAGE_EDITING = "image_editing"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a type as users write it; ConfigError names the near matches."""
        known = {member.value: member for member in cls} | {
            alias: cls(value) for alias, value in _TYPE_ALIASES.items()
        }
        try:
            return known[name.lower().replace("-", "_")]
        except KeyError:
            msg = f"{name!r} is not a model type ({', '.join(cls)}){did_you_mean(name, known)}"
            raise ConfigError(msg) from None

    @property
    def chats(self) -> bool:
        """Whether a model of this type is called with messages and answers with text."""
        return self in (ModelType.LLM, ModelType.VLM)


_TYPE_ALIASES = {
    "sd": "text2image",
    "chat": "llm",
    "embedding": "embed",
    "embeddings": "embed",
    "reranker": "rerank",
    "speech2text": "stt",
    "text2speech": "tts",
    "image_edit": "image_editing",
}


class Secret:
    """A key: `reveal()` gives the text, nothing else does. Equal secrets compare equal."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Hand it on; never print or log it."""
        return self._value

    def redact(self, text: str) -> str:
        """*text* with every occurrence of the secret masked."""
        return text.replace(self._value, "***") if self._value else text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        msg = "a secret cannot be pickled; pass api_key='env:NAME' and let each process read it"
        raise TypeError(msg)


@frozen
class Timeouts:
    """
    Four limits in seconds; None means no limit.

    `first_byte` runs from the request until the body begins, `idle` between two pieces of
    it, `total` over the whole call, retries and polling included.
    """

    connect: float | None = 10.0
    first_byte: float | None = 300.0
    idle: float | None = 60.0
    total: float | None = 900.0


@frozen
class Limits:
    """What one request may hold; None where the server sets no limit that we know of."""

    embed_batch: int | None = None
    rerank_documents: int | None = None
    file_bytes: int | None = None
    text_chars: int | None = None


@frozen
class Quirks:
    """
    Where a server departs from the wire it speaks, as data; shared code applies it.

    `refuses`: call options that it answers 400 to. `fixed`: the one value that it takes of an
    option. `unless_streaming`: fields sent with calls that do not stream. `inline_files`: it
    fetches no URL, so files are fetched here and sent in the request. `think_tags`: it writes
    its reasoning between `<think>` tags. `echo_reasoning`: past reasoning goes back to it
    with the turns that called tools. `only_streams`: it refuses a call that does not stream,
    so the stream is asked for and joined here.
    """

    max_tokens_field: str = "max_tokens"
    stream_options: bool = True
    refuses: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(factory=dict)
    unless_streaming: Mapping[str, Any] = field(factory=dict)
    inline_files: bool = False
    think_tags: bool = False
    echo_reasoning: bool = False
    only_streams: bool = False


def _rotation(given: Any) -> Rotation[Any]:
    if isinstance(given, Rotation):
        return given
    if given is None:
        return Rotation(())
    return Rotation([given] if isinstance(given, str | Secret) else list(given))


@frozen(eq=False)
class Endpoint:
    """
    Where an online model, or a local engine, is reached; what a codec is made for.

    `urls` and `keys` may be one, or several that stand in for each other. `does`, `options`,
    `limits` and `quirks` come from the plugin's manifest, for this model.
    """

    provider: str
    model: str
    urls: Rotation[str] = field(converter=_rotation, alias="url")
    keys: Rotation[Secret] = field(converter=_rotation, alias="api_key", factory=tuple)
    does: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    limits: Limits = Limits()
    quirks: Quirks = Quirks()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()

    @property
    def url(self) -> str:
        """The base URL in use."""
        return self.urls.current

    @property
    def api_key(self) -> Secret | None:
        """The key in use, if there is any."""
        return self.keys.current if len(self.keys) else None


@frozen
class ToolCall:
    """A complete call that the model asks for. `arguments` is {} where the text is not JSON."""

    kind: ClassVar[Literal["tool_call"]] = "tool_call"
    id: str
    name: str
    arguments: Mapping[str, Any]
    arguments_text: str = ""


@frozen
class ToolCallDelta:
    """A piece of a tool call as it streams; pieces with one `index` belong together."""

    kind: ClassVar[Literal["tool_call_delta"]] = "tool_call_delta"
    index: int
    id: str
    name: str
    arguments_text: str


@frozen
class Text:
    """A piece of the answer."""

    kind: ClassVar[Literal["text"]] = "text"
    text: str


@frozen
class Reasoning:
    """A piece of what the model says to itself before the answer."""

    kind: ClassVar[Literal["reasoning"]] = "reasoning"
    text: str


@frozen
class Usage:
    """
    Tokens of one call. A figure named in `estimated` was guessed here from text lengths;
    every other figure is the server's own, and None where it gave none.
    """

    kind: ClassVar[Literal["usage"]] = "usage"
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: frozenset[str] = frozenset()


@frozen
class Finish:
    """
    The last event of every stream.

    `reason` is stop, length, tool_calls or content_filter, or the provider's own word.
    """

    kind: ClassVar[Literal["finish"]] = "finish"
    reason: str
    model: str = ""
    id: str = ""


@frozen
class Reset:
    """What came before is void: a fallback begins the answer anew with another model."""

    kind: ClassVar[Literal["reset"]] = "reset"
    reason: str


@frozen
class Attempt:
    """One model that a fallback tried; `error` is empty for the one that answered."""

    model: str
    error: str = ""


Event = Text | Reasoning | ToolCallDelta | ToolCall | Usage | Reset | Finish


@frozen
class ChatCall:
    """One chat request. `options` are already named and checked for the wire."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    schema: Mapping[str, Any] | None = None
    stream: bool = False


@frozen
class Completion:
    """
    What a chat call gave.

    `parsed` is the value that `schema=` asked for; `raw` the reply as parsed from JSON, {}
    for a stream.
    """

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    model: str = ""
    id: str = ""
    parsed: Any = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """The events of a whole stream as one result."""
        text: list[str] = []
        thoughts: list[str] = []
        calls: list[ToolCall] = []
        usage, finish = Usage(), Finish("")
        for event in events:
            match event:
                case Text():
                    text.append(event.text)
                case Reasoning():
                    thoughts.append(event.text)
                case ToolCall():
                    calls.append(event)
                case Reset():
                    text, thoughts, calls = [], [], []
                case Usage():
                    usage = event
                case Finish():
                    finish = event
        return cls(
            "".join(text),
            "".join(thoughts),
            tuple(calls),
            usage,
            finish.reason,
            finish.model,
            finish.id,
        )

    @property
    def value(self) -> Any:
        """What a plain call answers."""
        return self.text if self.parsed is None else self.parsed

    @property
    def message(self) -> dict[str, Any]:
        """As the assistant's turn of the next request: before the results of its tool calls."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments_text or "{}"},
                }
                for call in self.tool_calls
            ]
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        return message


@frozen
class EmbedCall:
    """
    What to embed, at most as many as the endpoint's `embed_batch` limit.

    Texts; for a cross-modal model also Media or Remote images.
    """

    model: str
    inputs: Sequence[Any]
    options: Mapping[str, Any] = field(factory=dict)


@frozen
class Fingerprint:
    """What makes vectors comparable: only those with equal fingerprints belong in one index."""

    model: str
    dimension: int
    normalised: bool


@frozen
class Embeddings:
    """One vector for each input, in order; `single` when the caller gave one text."""

    vectors: list[list[float]] = field(repr=False)
    model: str = ""
    usage: Usage = Usage()
    single: bool = False
    raw: Mapping[str, Any] = field(factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @property
    def value(self) -> list[float] | list[list[float]]:
        """What a plain call answers: one vector for one text, a list of them for a list."""
        return self.vectors[0] if self.single else self.vectors

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the first vector, which stands for all: they come from one model."""
        first = self.vectors[0] if self.vectors else []
        length = math.fsum(number * number for number in first)
        return Fingerprint(self.model, len(first), abs(length - 1.0) < 1e-3)


@frozen
class RerankCall:
    """Documents to be ordered by how well they answer *query*."""

    model: str
    query: str
    documents: Sequence[str]
    top_n: int | None = None
    options: Mapping[str, Any] = field(factory=dict)


@frozen
class Ranking:
    """`results` are (index into the documents, score), best first."""

    results: list[tuple[int, float]]
    model: str = ""
    usage: Usage = Usage()
    raw: Mapping[str, Any] = field(factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @property
    def value(self) -> list[tuple[int, float]]:
        """What a plain call answers."""
        return self.results


@frozen
class TranscribeCall:
    """Sound to be written down; `resume` is the id of a job that was begun before."""

    model: str
    file: Media | Remote
    options: Mapping[str, Any] = field(factory=dict)
    resume: str = ""


@frozen
class Segment:
    """A stretch of speech, in seconds from the beginning."""

    start: float
    end: float
    text: str


@frozen
class Transcript:
    """What was said; `segments`, `language` and `duration` (seconds) where the server tells."""

    text: str
    segments: tuple[Segment, ...] = ()
    language: str = ""
    duration: float | None = None
    model: str = ""
    usage: Usage = Usage()
    raw: Mapping[str, Any] = field(factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @property
    def value(self) -> str:
        """What a plain call answers."""
        return self.text


@frozen
class SpeakCall:
    """Text to be spoken; `resume` as in a TranscribeCall."""

    model: str
    text: str
    options: Mapping[str, Any] = field(factory=dict)
    resume: str = ""


@frozen
class ImageCall:
    """
    A prompt to be drawn, or `images` to be changed by it; `mask` marks where.

    `resume` as in a TranscribeCall.
    """

    model: str
    prompt: str
    images: Sequence[Media | Remote] = ()
    mask: Media | Remote | None = None
    options: Mapping[str, Any] = field(factory=dict)
    resume: str = ""


@frozen
class Produced:
    """Sound or images that a model made; `notes` are remarks, such as that one was refused."""

    media: tuple[Media, ...]
    model: str = ""
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @property
    def value(self) -> Media | list[Media]:
        """What a plain call answers: one, or a list where there are several."""
        return self.media[0] if len(self.media) == 1 else list(self.media)


@frozen
class Weights:
    """
    Weights on disk: a GGUF file or a folder of safetensors.

    `format` is `gguf` or `safetensors`; `context` the longest input in tokens, where known;
    `template` whether a chat template came with them.
    """

    name: str
    path: Path
    format: str
    type: ModelType
    context: int | None = None


@frozen
class Deployment:
    """
    What an engine is asked to serve, at `deploy_local`.

    `options` are those of `deploy_method`, checked against the engine's manifest. The engine
    must listen on `host`:`port` alone and refuse a request without `token`.
    """

    weights: Weights
    options: Mapping[str, Any]
    host: str
    port: int
    token: Secret


@frozen
class Plan:
    """
    How to run an engine: data, so that it can be shown, tested and run anywhere.

    `argv` is an argument list and never meets a shell; whatever must stay private goes in
    `env`, which is added to the parent's environment and is not logged. `ready` is the path
    that answers 200 once the engine serves; `base` the path of its OpenAI routes.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(factory=dict, repr=lambda env: repr(sorted(env)))
    ready: str = "/health"
    base: str = "/v1"
    model: str = ""
    start_timeout: float = 300.0
