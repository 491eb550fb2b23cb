"""Does not notice an error that comes inside a stream of status 200."""

from modelplug.errors import Refused
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event, Finish
from modelplug.wire import Decoder


class Deaf:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        try:
            self.inner.feed(chunk, events)
            self.finished = self.inner.finished
        except Refused:
            events.append(Finish("stop"))
            self.finished = True

    def finish(self, events: list[Event]) -> None:
        self.inner.finish(events)


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Deaf(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
