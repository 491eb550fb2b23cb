"""Overlooks how long the server asks to wait."""

from modelplug.errors import CallError
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_error(self, response: Response) -> CallError:
        error = super().parse_error(response)
        if error.retry_after is not None:
            error.retry_after = 0.0
        return error


plugin = OpenAICompatible(chat=Chat)
