"""What every model object can do, online or local."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import evolve

from modelplug.chat import History, Prompt
from modelplug.errors import ConfigError, Unsupported
from modelplug.formatters import Chain
from modelplug.tasks import FLOWS, AnyCodec, Stream, View, chat_events, read_by
from modelplug.types import Completion, Event, Finish, ModelType, Secret, Text, Timeouts
from modelplug.wire import EventFlow, Flow, Together

if TYPE_CHECKING:
    from modelplug.transport import Transport

Y = TypeVar("Y")
T = TypeVar("T")
R = TypeVar("R")

_COLORS = {
    name: 30 + place
    for place, name in enumerate("black red green yellow blue magenta cyan white".split())
}


class Model:
    """
    A model, seen through one prompt, history, formatter and set of options.

    `OnlineModule` and `TrainableModule` differ in where the codec comes from, nothing else.
    Builders (`prompt`, `formatter`) change this object and return it; `share` and `|` make
    another one over the same model. Any number of threads and tasks may call one object.
    """

    _view: View

    # What a kind of model gives.

    @property
    def type(self) -> ModelType:
        """What the model does."""
        raise NotImplementedError

    @property
    def model(self) -> str:
        """The model's name as its server knows it."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Base URL of the server."""
        raise NotImplementedError

    @property
    def api_key(self) -> Secret | None:
        """The key: usable, never shown."""
        raise NotImplementedError

    def _connect(self) -> Flow[AnyCodec]:
        """The codec, once whatever must run does run."""
        raise NotImplementedError

    def _watched(self, flow: Generator[Y, Any, T]) -> Generator[Y, Any, T]:
        """*flow*, with errors told better by who knows more."""
        return flow

    def _another(self, view: View) -> Self:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what this object holds; it cannot be called afterwards."""

    # Calls.

    def __call__(self, given: Any = None, **options: Any) -> Any:
        """
        The plain value, after the formatter.

        Chat: a text (with `schema=`, what it asks for). Embed: a vector of floats, or one
        for each text of a list. Rerank: `m(query, documents=[...], top_n=2)` gives
        `[(index, score), ...]`, best first. Raises CallError and what lies under it.
        """
        return self._value(self.respond(given, **options))

    async def acall(self, given: Any = None, **options: Any) -> Any:
        """As a plain call."""
        return self._value(await self.arespond(given, **options))

    def respond(self, given: Any = None, **options: Any) -> Any:
        """The rich result: Completion, Embeddings or Ranking, with usage and the raw reply."""
        timeouts, echo = self._taken(options)
        if echo:
            return self._collected(list(self._echoed(given, options, timeouts, echo)), options)
        return _transport().run(self._flow(given, options), timeouts)

    async def arespond(self, given: Any = None, **options: Any) -> Any:
        """As `respond`."""
        timeouts, echo = self._taken(options)
        if echo:
            flow = self._events(given, options)
            with _Echo(echo) as terminal:
                events = [terminal.show(e) async for e in _transport().astream(flow, timeouts)]
            return self._collected(events, options)
        return await _transport().arun(self._flow(given, options), timeouts)

    def events(self, given: Any = None, **options: Any) -> Generator[Event, None, None]:
        """Typed events as they arrive; the last is the one Finish."""
        timeouts, _ = self._taken(options)
        return _transport().stream(self._events(given, options), timeouts)

    def aevents(self, given: Any = None, **options: Any) -> AsyncGenerator[Event, None]:
        """As `events`."""
        timeouts, _ = self._taken(options)
        return _transport().astream(self._events(given, options), timeouts)

    def stream(self, given: Any = None, **options: Any) -> Generator[str, None, None]:
        """Pieces of the answer as they arrive."""
        timeouts, _ = self._taken(options)
        return _transport().stream(self._events(given, options), timeouts, _texts)

    def astream(self, given: Any = None, **options: Any) -> AsyncGenerator[str, None]:
        """As `stream`."""
        timeouts, _ = self._taken(options)
        return _transport().astream(self._events(given, options), timeouts, _texts)

    def map(
        self,
        inputs: Iterable[Any],
        *,
        concurrency: int = 8,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[Any]:
        """
        One plain value for each input, in order; at most *concurrency* calls at once.

        *progress(done, total)* is called after each; on a terminal a line on stderr counts
        where none is given. The first error ends the others and is raised.
        """
        timeouts, _ = self._taken(options)
        flows = [self._flow(given, options) for given in inputs]
        with _Progress(progress) as told:
            results = _transport().run(_all(Together(flows, concurrency, told)), timeouts)
        return [self._value(result) for result in results]

    async def amap(
        self,
        inputs: Iterable[Any],
        *,
        concurrency: int = 8,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[Any]:
        """As `map`."""
        timeouts, _ = self._taken(options)
        flows = [self._flow(given, options) for given in inputs]
        with _Progress(progress) as told:
            results = await _transport().arun(_all(Together(flows, concurrency, told)), timeouts)
        return [self._value(result) for result in results]

    # Views.

    def share(
        self,
        prompt: str | Mapping[str, str] | None = None,
        format: Callable[[Any], Any] | None = None,
        stream: Stream | None = None,
        history: History | None = None,
    ) -> Self:
        """Another object over the same model, with what is given changed; nothing is common."""
        view = self._view
        return self._another(
            View(
                prompt=view.prompt if prompt is None else Prompt.read(prompt),
                history=view.history if history is None else _fixed(history),
                formatter=view.formatter if format is None else format,
                stream=view.stream if stream is None else checked_stream(stream),
                traced=view.traced,
                options=dict(view.options),
            )
        )

    def prompt(
        self, prompt: str | Mapping[str, str] | None = None, history: History | None = None
    ) -> Self:
        """Set the prompt: a system text, or {"system": ..., "user": "... {name} ..."}."""
        changed = evolve(self._view, prompt=Prompt.read(prompt))
        self._view = changed if history is None else evolve(changed, history=_fixed(history))
        return self

    def formatter(self, formatter: Callable[[Any], Any] | None) -> Self:
        """Set what forms each value; None for nothing."""
        self._view = evolve(self._view, formatter=formatter)
        return self

    def __or__(self, formatter: Callable[[Any], Any]) -> Self:
        if not callable(formatter):
            return NotImplemented
        before = self._view.formatter
        following = formatter if before is None else Chain(before, formatter)
        return self._another(evolve(self._view, formatter=following))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def trace(self) -> list[Any]:
        """
        The rich results of this object's calls, the oldest first: the last thousand, where it
        was made with `return_trace=True`, else none.
        """
        return list(self._results)

    @cached_property
    def _results(self) -> deque[Any]:
        return deque(maxlen=1000)

    # What the pairs above have in common.

    def _flow(self, given: Any, options: Mapping[str, Any]) -> Flow[Any]:
        codec = yield from self._connect()
        flow = FLOWS[self.type](codec, self._view, given, options)
        return self._noted((yield from self._watched(flow)))

    def _events(self, given: Any, options: Mapping[str, Any]) -> EventFlow:
        codec = yield from self._connect()
        if not self.type.chats:
            msg = f"a model of type {self.type} does not stream; call it"
            raise Unsupported(msg)
        yield from self._watched(chat_events(codec, self._view, given, options))

    def _taken(self, options: dict[str, Any]) -> tuple[Timeouts | None, Stream]:
        """(`timeout`, `stream`), which are for this side of the wire, taken out of *options*."""
        timeout = read_timeouts(options.pop("timeout", None))
        echo = checked_stream(options.pop("stream", self._view.stream))
        return timeout, echo if echo and self.type.chats else False

    def _echoed(
        self, given: Any, options: Mapping[str, Any], timeouts: Timeouts | None, echo: Stream
    ) -> Iterator[Event]:
        flow = self._events(given, options)
        with _Echo(echo) as terminal:
            for event in _transport().stream(flow, timeouts):
                yield terminal.show(event)

    def _collected(self, events: Sequence[Event], options: Mapping[str, Any]) -> Completion:
        completion = read_by(Completion.of(events), options.get("schema"))
        return self._noted(completion)

    def _noted(self, result: R) -> R:
        if self._view.traced:
            self._results.append(result)
        return result

    def _value(self, result: Any) -> Any:
        form = self._view.formatter
        return result.value if form is None else form(result.value)


def _transport() -> Transport:
    # At the first call, not before: the HTTP engine costs more to import than all the rest.
    from modelplug.transport import shared

    return shared()


def _texts(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if type(event) is Text]


def _all(step: Together) -> Flow[list[Any]]:
    results: list[Any] = yield step
    return results


def _fixed(history: History) -> History:
    return tuple(tuple(turn) if isinstance(turn, list) else turn for turn in history)


def read_timeouts(timeout: object) -> Timeouts | None:
    """`timeout=` as users give it: seconds in all, or the four limits."""
    if timeout is None or isinstance(timeout, Timeouts):
        return timeout
    if isinstance(timeout, int | float):
        return Timeouts(total=float(timeout))
    msg = f"timeout= takes seconds or modelplug.Timeouts, not {timeout!r}"
    raise ConfigError(msg)


def checked_stream(stream: Stream) -> Stream:
    if not isinstance(stream, bool):
        color = stream.get("color", "white") if isinstance(stream, Mapping) else None
        if color not in _COLORS or set(stream) - {"color"}:
            msg = f"stream= takes True or {{'color': one of {', '.join(_COLORS)}}}, not {stream!r}"
            raise ConfigError(msg)
    return stream


class _Echo:
    """Writes an answer to the terminal as it comes."""

    def __init__(self, stream: Stream) -> None:
        color = stream.get("color") if isinstance(stream, Mapping) else None
        self._paint = f"\033[{_COLORS[color]}m" if color and sys.stdout.isatty() else ""
        self._written = False

    def __enter__(self) -> Self:
        return self

    def show(self, event: Event) -> Event:
        if type(event) is Text:
            sys.stdout.write(event.text if self._written else self._paint + event.text)
            sys.stdout.flush()
            self._written = True
        elif type(event) is Finish and self._written:
            sys.stdout.write("\n")
        return event

    def __exit__(self, *_: object) -> None:
        if self._paint and self._written:
            sys.stdout.write("\033[0m")
        sys.stdout.flush()


class _Progress:
    """Counts on stderr where it is a terminal and the caller wants no callback."""

    def __init__(self, callback: Callable[[int, int], None] | None) -> None:
        self._callback = callback
        self._shown = False

    def __enter__(self) -> Callable[[int, int], None] | None:
        if self._callback is not None:
            return self._callback
        return self._show if sys.stderr.isatty() else None

    def _show(self, done: int, total: int) -> None:
        self._shown = True
        sys.stderr.write(f"\r{done}/{total}")
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\n")
