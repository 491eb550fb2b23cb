"""
Refuses whatever comes without the engine's token; runs in vLLM's interpreter.

vLLM's own key guards /v1, /v2 and /inference alone: /invocations answers chats to everybody,
and /metrics and /docs tell of them (0.32). `--middleware` puts this before all of its routes.
"""

from __future__ import annotations

import hmac
import json
import os
from typing import Any

OPEN = ("/health", "/ping")


class TokenOnly:
    """An ASGI application in front of another."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.wanted = f"Bearer {os.environ['VLLM_API_KEY']}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on what may come in; answer 401 in OpenAI's form to the rest."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        is_open = scope["type"] not in ("http", "websocket") or scope["path"] in OPEN
        if is_open or hmac.compare_digest(given, self.wanted):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            error = {"message": "the token is missing or wrong", "type": "invalid_api_key"}
            body = json.dumps({"error": error | {"code": "invalid_api_key"}}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": body})
