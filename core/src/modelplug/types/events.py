"""What a chat gives, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import field, frozen


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
    `native` is the whole turn in a wire's own form, under the name of the wire, where the
    server wants it back as it was: with signatures, say. Empty where it does not.
    """

    kind: ClassVar[Literal["finish"]] = "finish"
    reason: str
    model: str = ""
    id: str = ""
    native: Mapping[str, Any] = field(factory=dict, repr=False)


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
