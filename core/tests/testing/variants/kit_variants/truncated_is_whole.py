"""Takes a stream that broke off for one that ended."""

from modelplug.errors import TransportFailed
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event, Finish
from modelplug.wire import Decoder


class Trusting:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        self.inner.feed(chunk, events)
        self.finished = self.inner.finished

    def finish(self, events: list[Event]) -> None:
        try:
            self.inner.finish(events)
        except TransportFailed:
            events.append(Finish("stop"))


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Trusting(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
