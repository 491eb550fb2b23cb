"""Requests, replies, and the steps that a flow yields."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import field, frozen

from modelplug.errors import CallError
from modelplug.media import Media
from modelplug.structure import parse_json, structure
from modelplug.types import Event, Secret, Timeouts

T = TypeVar("T")

_REQUEST_ID_HEADERS = tuple(
    "x-siliconcloud-trace-id x-request-id request-id x-ds-request-id x-tt-logid "
    "x-msh-request-id".split()
)


@frozen
class Request:
    """
    One HTTP request. `delay` seconds pass before it is sent, on a terminal with `waiting_for`
    shown meanwhile; `auth` becomes the bearer token.

    Give `body`, or for multipart `form` fields and `files` (field name, Media). `stream` asks
    for the reply in pieces as they arrive.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)
    form: Mapping[str, str | list[str]] = field(factory=dict, repr=False)
    files: Sequence[tuple[str, Media]] = field(default=(), repr=False)
    auth: Secret | None = None
    secret_headers: Mapping[str, Secret] = field(factory=dict)
    stream: bool = False
    delay: float = 0.0
    waiting_for: str = ""
    timeouts: Timeouts = Timeouts()


@frozen
class Response:
    """
    One HTTP reply; header names are lower case.

    `streaming` means that the status is 2xx, the body has not been read and comes in pieces.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    streaming: bool = False

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str | None:
        """The provider's own name for this call, to be quoted to its support."""
        return next((self.headers[h] for h in _REQUEST_ID_HEADERS if h in self.headers), None)

    def json(self) -> Any:
        """The body as JSON, or BadReply."""
        return parse_json(self.body)

    def parse(self, cls: type[T]) -> T:
        """The body as *cls*, or BadReply with the path of what does not fit."""
        return structure(self.json(), cls)


@frozen
class Together:
    """
    Flows to be run side by side, at most `concurrency` at once. A flow that yields this is
    sent the list of their results, in order; the first error ends the others.
    `progress(done, total)` is called after each.
    """

    flows: Sequence[Flow[Any]]
    concurrency: int = 8
    progress: Callable[[int, int], None] | None = None


@frozen
class Blocking:
    """A function that waits, such as one that starts an engine; its result is sent back."""

    function: Callable[[], Any]


Conversation = Generator[bytes | None, bytes, T]
"""Yields bytes to be sent, or None to be sent what has come: b"" once the peer has closed."""


@frozen
class Upgrade:
    """
    A `request` for another protocol on the connection, such as WebSocket, and what speaks it.

    With status 101 the answer is what the conversation returns that `begin` makes of the
    reply's head, else the reply. The connection ends with it; what it has sent last is sent.
    """

    request: Request
    begin: Callable[[Response], Conversation[Any]]


Flow = Generator["Request | Together | Blocking | Upgrade", Any, T]
"""Yields requests, is sent their responses, returns the result."""

EventFlow = Generator["Request | Together | Blocking | Upgrade | list[Event]", Any, None]
"""
A flow that streams. It yields a Request (and is sent the head of the reply), then lists of
events (and is sent the next bytes of the body, None at its end).
"""


def changed(flow: EventFlow, change: Callable[[list[Event]], list[Event]]) -> EventFlow:
    """*flow* with *change* made to each list of its events; what is sent or thrown goes to it."""
    try:
        step = next(flow)
        while True:
            try:
                answer = yield change(step) if isinstance(step, list) else step
            except CallError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration:
        return
    finally:
        flow.close()
