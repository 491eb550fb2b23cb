"""Leaves the key in a local variable of a frame that errors go through."""

from collections.abc import Mapping
from typing import Any

from modelplug.errors import BadReply
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Completion
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        key = self.endpoint.api_key
        headers: Mapping[str, Any] = {"x-key": key.reveal() if key else ""}
        try:
            return super().parse_response(call, response)
        except BadReply as error:
            error.add_note(f"{len(headers)} headers were sent")
            raise


plugin = OpenAICompatible(chat=Chat)
