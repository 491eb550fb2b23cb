"""Logs the key at DEBUG."""

import logging

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall
from modelplug.wire import Request


class Chat(OpenAIChat):
    def build_request(self, call: ChatCall) -> Request:
        key = self.endpoint.api_key
        logging.getLogger("kit_variants").debug("key %s", key.reveal() if key else None)
        return super().build_request(call)


plugin = OpenAICompatible(chat=Chat)
