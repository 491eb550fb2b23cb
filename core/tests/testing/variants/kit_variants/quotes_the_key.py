"""Quotes the key in the text of an error."""

from modelplug.errors import CallError
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_error(self, response: Response) -> CallError:
        error = super().parse_error(response)
        key = self.endpoint.api_key
        error.args = (f"{error} with key {key.reveal() if key else None}",)
        return error


plugin = OpenAICompatible(chat=Chat)
