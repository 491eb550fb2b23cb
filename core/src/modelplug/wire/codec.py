"""What a codec is: how calls become requests and replies results, with retries and polling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urljoin

from attrs import evolve

from modelplug.errors import (
    BadReply,
    CallError,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    Refused,
    TransportFailed,
    Unsupported,
    refusal,
    refused,
    retryable_status,
)
from modelplug.media import Media, Remote, sniff
from modelplug.retry import retry_after
from modelplug.types import Endpoint, Event, Secret
from modelplug.wire.messages import (
    Conversation,
    EventFlow,
    Flow,
    Request,
    Response,
    Upgrade,
)

if TYPE_CHECKING:
    from modelplug.wire.tuning import TuningCodec

T = TypeVar("T")
C = TypeVar("C")
R = TypeVar("R")


class Decoder(Protocol):
    """Bytes of a streamed reply to events. One for each stream; it may keep state."""

    finished: bool
    """Nothing more is expected; the rest of the body is not waited for."""

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        """Append to *events* what *chunk* completes. What was appended before a raise is kept."""

    def finish(self, events: list[Event]) -> None:
        """The body has ended: append the last events, or raise TransportFailed if cut short."""


class Codec(Generic[C, R]):
    """
    One type of model at one endpoint: how a call becomes a request and a reply a result.

    A subclass gives `build_request` and `parse_response`; `decoder` if it streams;
    `parse_error` if its errors are not OpenAI's; `flow` if one request is not enough.
    """

    options: frozenset[str] = frozenset()
    """Names of call options that this wire knows; the manifest may add more."""

    resumes = False
    """Whether calls may be jobs at the provider, which `resume=` picks up again."""

    tuning: type[TuningCodec] | None = None
    """How the provider tunes the models of this codec, where it does."""

    wire_codes: Mapping[str, type[Refused]] = {}
    """Error codes of this wire; those of the provider are in its manifest."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.codes = {**self.wire_codes, **endpoint.codes}
        """What an error is by its code, which is asked before the HTTP status."""

    def build_request(self, call: C) -> Request:
        """The request for *call*."""
        raise NotImplementedError

    def parse_response(self, call: C, response: Response) -> R:
        """The result that a 2xx *response* holds; BadReply where it holds none."""
        raise NotImplementedError

    def decoder(self, call: C) -> Decoder:
        """A decoder for one streamed reply."""
        msg = f"{self.endpoint.provider} does not stream {self.endpoint.model!r}"
        raise Unsupported(msg)

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, type) as the body of an error gives them; "" and None where absent."""
        raise NotImplementedError

    def parse_error(self, response: Response) -> CallError:
        """
        The error that *response* is.

        Sorted by the provider's code, then by its type word, then by status, and by what the
        manifest's `error-rules` say of these and of the text; a body that is no JSON (a
        proxy's HTML page) still gets the class of its status.
        """
        try:
            message, code, type_ = self.error_details(response)
        except BadReply:
            message = response.body[:500].decode("utf-8", "replace").strip()
            code = type_ = None
        by_status = refused(response.status)
        cls = self.codes.get(code or "") or self.codes.get(type_ or "") or by_status
        text = f"{self.endpoint.provider} answered {response.status}"
        text, word = f"{text}: {message}" if message else text, code or type_
        wait = retry_after(response.headers)
        for rule in self.endpoint.error_rules:
            told = rule.told(response.status, (code, type_), message)
            if told is None:
                continue
            cls = refusal(rule.means) if rule.means else cls
            text += f"; {rule.mend}" if rule.mend and rule.mend not in text else ""
            word = code or told.get("code") or word
            if wait is None:
                wait = retry_after({"retry-after": told.get("seconds") or ""})
        for key in self.endpoint.keys.items:
            text, word = key.redact(text), word and key.redact(word)
        return cls(
            text,
            status=response.status,
            code=word,
            retryable=retryable_status(response.status) if cls is by_status else None,
            retry_after=wait,
            provider=self.endpoint.provider,
            request_id=response.request_id,
        )

    def is_error(self, response: Response) -> bool:
        """Whether *response* is an error; some servers send errors with status 200."""
        return not response.ok

    def sign(self, request: Request) -> Request:
        """
        *request* as it goes out, before each try: for keys that are no bearer token but sign
        one, or go into headers of their own. `request.auth` is the key, from the rotation.
        """
        return request

    def send(self, request: Request) -> Flow[Response]:
        """*request* until it is answered with 2xx or the retry policy gives up."""
        attempt = 0
        while True:
            attempt += 1
            try:
                response: Response = yield self.sign(request)
                if self.is_error(response):
                    raise self.parse_error(response)
            except CallError as error:
                request = self._again(request, attempt, error)
            else:
                return response

    def converse(self, request: Request, begin: Callable[[Response], Conversation[T]]) -> Flow[T]:
        """What the conversation of an `Upgrade` returns, with retries as `send` has them."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer: T | Response = yield Upgrade(self.sign(request), begin)
                if isinstance(answer, Response):
                    raise self.parse_error(answer)
            except CallError as error:
                request = self._again(request, attempt, error)
            else:
                return answer

    def poll(
        self,
        request: Request,
        result: Callable[[Response], T | None],
        *,
        task: str,
        every: float = 1.0,
        longest: float = 10.0,
        at_once: bool = False,
    ) -> Flow[T]:
        """
        Ask with *request* until *result* makes something of a reply, each time a little later;
        the first time after *every* seconds or, for a job that was begun before, *at_once*.

        Whatever ends the waiting, Ctrl-C and cancellation too, carries the id *task*, by
        which the job can be picked up again (`resume=`).
        """
        wait, asked = 0.0 if at_once else every, 0
        try:
            while True:
                told = f"{self.endpoint.provider}: job {task}, asked {asked} times"
                response = yield from self.send(evolve(request, delay=wait, waiting_for=told))
                asked += 1
                answer = result(response)
                if answer is not None:
                    return answer
                wait = min(wait * 1.5, longest) if wait else every
        except CallError as error:
            error.task = task
            raise
        except GeneratorExit:
            raise
        except BaseException as stopped:
            stopped.add_note(f"the job goes on at {self.endpoint.provider}; pass resume={task!r}")
            raise

    def download(self, url: str, mime: str = "") -> Flow[Media]:
        """
        The file that a reply names. No key goes along: *url* is signed, or on another host.

        Up to five redirects are followed, http becomes https where the provider is on https.
        """
        if url.startswith("http://") and self.endpoint.url.startswith("https://"):
            url = "https://" + url.removeprefix("http://")
        for _ in range(5):
            response: Response = yield Request("GET", url, timeouts=self.endpoint.timeouts)
            if response.status not in (301, 302, 303, 307, 308):
                break
            url = urljoin(url, response.headers.get("location", ""))
        if not response.ok:
            raise self.parse_error(response)
        told = response.headers.get("content-type", "").partition(";")[0].strip()
        if not told or told in ("application/octet-stream", "binary/octet-stream"):
            told = mime or sniff(response.body)
        return Media(response.body, told)

    def local_copy(self, file: Media | Remote) -> Flow[Media]:
        """*file* as bytes: for servers that fetch no URL themselves."""
        if isinstance(file, Media):
            return file
        copy = yield from self.download(file.url)
        return copy

    def prepare(self, call: C) -> Flow[C]:
        """*call* with what must be fetched, uploaded or exchanged first; as it is by default."""
        return call
        yield  # a generator, though this one asks for nothing

    def flow(self, call: C) -> Flow[R]:
        """The whole call."""
        call = yield from self.prepare(call)
        response = yield from self.send(self.build_request(call))
        return self._signed(self.parse_response, call, response)

    def stream(self, call: C) -> EventFlow:
        """The whole call, streamed. It is begun again only while nothing has been given out."""
        call = yield from self.prepare(call)
        request = evolve(self.build_request(call), stream=True)
        attempt = 0
        while True:
            attempt += 1
            given = False
            response: object = None
            try:
                response = yield self.sign(request)
                if not isinstance(response, Response) or not response.streaming:
                    raise self._no_stream(response)
                decoder = self.decoder(call)
                chunk: Response | bytes | None = b""
                while True:
                    last = chunk is None
                    events: list[Event] = []
                    try:
                        if last:
                            decoder.finish(events)
                        else:
                            decoder.feed(chunk, events)  # type: ignore[arg-type]  # after the head
                    except CallError:
                        if events:
                            given = True
                            yield events
                        raise
                    given = given or bool(events)
                    chunk = yield events
                    if last or decoder.finished:
                        return
            except CallError as error:
                if isinstance(response, Response):
                    error.request_id = error.request_id or response.request_id
                if given:
                    error.provider = error.provider or self.endpoint.provider
                    raise
                request = self._again(request, attempt, error)

    def _again(self, request: Request, attempt: int, error: CallError) -> Request:
        error.provider = error.provider or self.endpoint.provider
        endpoint = self.endpoint
        # Bounded: with `retry-after: 0` a key that was refused is free again at once.
        most = endpoint.retry.attempts + max(len(endpoint.keys), len(endpoint.urls)) - 1
        if attempt < most and (other := self._elsewhere(request, error)) is not None:
            return other
        delay = endpoint.retry.delay(attempt, error)
        if delay is None:
            raise error
        return evolve(request, delay=delay)

    def _elsewhere(self, request: Request, error: CallError) -> Request | None:
        """The request with another key or address, where there are several and one is free."""
        keys, urls = self.endpoint.keys, self.endpoint.urls
        if isinstance(error, RateLimited | QuotaExhausted) and len(keys) > 1:
            used = [request.auth, *request.secret_headers.values()]
            old_key = next((key for key in keys.items if key in used), None)
            key = None if old_key is None else keys.move_on(old_key, error.retry_after)
            return None if key is None else _rekeyed(request, old_key, key)
        if isinstance(error, TransportFailed | ProviderFailed) and len(urls) > 1:
            old = next((url for url in urls.items if request.url.startswith(url)), None)
            if old is None:  # a route beside the base URL, whose place elsewhere is not known
                return None
            if (new := urls.move_on(old, error.retry_after)) is not None:
                return evolve(request, url=new + request.url.removeprefix(old), delay=0.0)
        return None

    def _no_stream(self, response: object) -> CallError:
        if isinstance(response, Response) and self.is_error(response):
            return self.parse_error(response)
        return BadReply(f"{self.endpoint.provider} was asked for a stream and sent none")

    @contextmanager
    def reading(self, response: Response) -> Iterator[None]:
        """A CallError from inside says whose reply it was; a BadReply its status as well."""
        try:
            yield
        except CallError as error:
            error.provider = error.provider or self.endpoint.provider
            error.request_id = error.request_id or response.request_id
            if isinstance(error, BadReply):
                error.status = error.status or response.status
            raise

    def _signed(self, parse: Any, call: C, response: Response) -> R:
        with self.reading(response):
            result: R = parse(call, response)
        return result


def _rekeyed(request: Request, old: Secret | None, new: Secret) -> Request:
    """*request*, at once, with key *new* wherever *old* was: the bearer token or a header."""
    headers = {name: new if key == old else key for name, key in request.secret_headers.items()}
    auth = new if request.auth == old else request.auth
    return evolve(request, auth=auth, secret_headers=headers, delay=0.0)
