"""What a model does, and where and how it is reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from attrs import field, frozen

from modelplug.errors import ConfigError, Refused, did_you_mean, refusal
from modelplug.retry import Retry
from modelplug.rotation import Rotation


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
        """*text* with every occurrence of the secret masked; of a pair, `id:secret`, of either."""
        for part in (self._value, self._value.partition(":")[2]):
            text = text.replace(part, "***") if part else text
        return text

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
    """
    What one request may hold; None where the server sets no limit that we know of.

    `image_batch` are images to be drawn, `edit_images` those to be changed.
    """

    embed_batch: int | None = None
    image_batch: int | None = None
    edit_images: int | None = None
    rerank_documents: int | None = None
    file_bytes: int | None = None
    text_chars: int | None = None


ToolChoice = Literal["any", "auto", "unless-thinking", "instead-of-thinking"]
"""What a server takes of `tool_choice`, see `Quirks`."""


@frozen
class Quirks:
    """
    Where a server departs from the wire it speaks, as data; shared code applies it.

    `refuses`: call options that it answers 400 to. `fixed`: the one value that it takes of an
    option. `unless_streaming`: fields sent with calls that do not stream. `inline_files`: it
    fetches no URL, so files are fetched here and sent in the request. `think_tags`: it writes
    its reasoning between `<think>` tags. `echo_reasoning`: past reasoning goes back to it
    with the turns that called tools, and while it thinks `lost_reasoning` in place of what
    was lost. `only_streams`: it refuses a call that does not stream, so the stream is asked
    for and joined here. Without `empty_turns`, turns of the assistant's that say nothing are
    left out. With `empty_json`, it now and then answers JSON mode with nothing, and is asked
    once more. Without `mask`, it changes images and takes none that marks where.

    `tool_choice` "auto": it knows no other, so a forced call is Unsupported, and for "none"
    the tools stay here. "unless-thinking": a forced call is Unsupported unless the option
    thinking={"type": "disabled"} is given. "instead-of-thinking": a forced call switches
    thinking off so, and is Unsupported where the caller asked for it.
    """

    max_tokens_field: str = "max_tokens"
    stream_options: bool = True
    refuses: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(factory=dict)
    unless_streaming: Mapping[str, Any] = field(factory=dict)
    inline_files: bool = False
    think_tags: bool = False
    echo_reasoning: bool = False
    lost_reasoning: str = ""
    only_streams: bool = False
    empty_turns: bool = True
    empty_json: bool = False
    tool_choice: ToolChoice = "any"
    mask: bool = True


def _expression(_: Any, __: Any, match: str) -> None:
    try:
        re.compile(match)
    except re.error as exc:
        msg = f"match: {match!r} is no regular expression: {exc}"
        raise ConfigError(msg) from exc


def _known_refusal(_: Any, __: Any, name: str) -> None:
    if name:
        refusal(name)


@frozen
class ErrorRule:
    """
    What an error tells that its code leaves open.

    It is about errors of the HTTP `status`, whose code or type word is one of `codes`
    (fnmatch), and whose text `match` is found in: a regular expression, without regard to
    case. What is left out is not looked at. Such an error `means` the class of
    modelplug.errors, and `mend` is put behind its text. Of the named groups of `match`,
    `code` stands for the code where none was sent, and `seconds` for a missing `retry-after`.
    """

    status: int | None = None
    codes: tuple[str, ...] = ()
    match: str = field(default="", validator=_expression)
    means: str = field(default="", validator=_known_refusal)
    mend: str = ""

    def told(self, status: int, words: Iterable[str | None], text: str) -> dict[str, str] | None:
        """The named groups of `match`; None for an error that the rule is not about."""
        if self.status not in (None, status):
            return None
        if self.codes and not any(fnmatchcase(w, each) for w in words if w for each in self.codes):
            return None
        found = re.search(self.match, text, re.IGNORECASE)
        return None if found is None else found.groupdict()


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
    `limits` and `quirks` come from the plugin's manifest, for this model, and from there the
    errors that its `codes` mean, and `error_rules` for what these leave open.
    """

    provider: str
    model: str
    urls: Rotation[str] = field(converter=_rotation, alias="url")
    keys: Rotation[Secret] = field(converter=_rotation, alias="api_key", factory=tuple)
    does: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    limits: Limits = Limits()
    quirks: Quirks = Quirks()
    codes: Mapping[str, type[Refused]] = field(factory=dict)
    error_rules: Sequence[ErrorRule] = ()
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
