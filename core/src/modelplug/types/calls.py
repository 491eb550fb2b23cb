"""What goes into a codec and what comes out of it, for each type of model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from attrs import field, frozen

from modelplug.media import Media, Remote
from modelplug.types.events import (
    Attempt,
    Event,
    Finish,
    Reasoning,
    Reset,
    Text,
    ToolCall,
    Usage,
)


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
    for a stream; `native` as in a Finish.
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
    native: Mapping[str, Any] = field(factory=dict, repr=False)

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
            native=finish.native,
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
        if self.native:
            message["native"] = dict(self.native)
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
