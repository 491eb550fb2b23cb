"""Sends the key in the URL besides the header."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.wire import Request


class Chat(OpenAIChat):
    def post(self, payload: Mapping[str, Any]) -> Request:
        request = super().post(payload)
        key = self.endpoint.api_key
        return evolve(request, url=f"{request.url}?key={key.reveal() if key else ''}")


plugin = OpenAICompatible(chat=Chat)
