"""Forgets the key."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.wire import Request


class Chat(OpenAIChat):
    def post(self, payload: Mapping[str, Any]) -> Request:
        return evolve(super().post(payload), auth=None)


plugin = OpenAICompatible(chat=Chat)
