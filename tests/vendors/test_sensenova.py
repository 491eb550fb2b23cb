"""SenseTime's SDK and the native routes of sensenova; its others are in test_openai_wire.py."""

from __future__ import annotations

from typing import Any

import jwt
import sensenova
from common import KEY, ROOT, Case, ErrorSuite, Told
from usual import ASKED

from modelplug.testing import FaultServer


def native_chat(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat in one piece."""
    reply = sdk.ChatCompletion.create(model=model, messages=ASKED, **options)
    (choice,) = reply["data"]["choices"]
    return {"text": choice["message"], "usage": _usage(reply["data"]["usage"])}


def native_stream(sdk: Any, model: str) -> dict[str, Any]:
    """A chat streamed; the usage of each chunk is the sum so far."""
    chunks = list(sdk.ChatCompletion.create(model=model, messages=ASKED, stream=True))
    text = "".join(choice["delta"] for chunk in chunks for choice in chunk["data"]["choices"])
    return {"text": text, "usage": _usage(chunks[-1]["data"]["usage"])}


def native_embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of two texts."""
    reply = sdk.Embedding.create(model=model, input=["a", "b"])
    items = sorted(reply["embeddings"], key=lambda item: int(item["index"]))
    return {"value": [item["embedding"] for item in items]}


def _usage(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
    }


class TestSenseNovaNative(ErrorSuite):
    source = "sensenova"
    package = "sensenova"
    base_path = "/v1/llm"
    replies = (ROOT / "plugins/sensenova/tests/replies/native",)
    key = f"id:{KEY}"
    of_the_sdk = ("x-sensenova-client-user-agent",)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model="nova-ptc-xl-v1",
            theirs=lambda sdk, model: native_chat(sdk, model, max_new_tokens=64, temperature=0.5),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5),
        ),
        Case(
            name="stream",
            reply="stream.sse",
            model="nova-ptc-xl-v1",
            theirs=native_stream,
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="nova-embedding-stable",
            theirs=native_embed,
            ours=lambda m: m(["a", "b"]),
        ),
    )

    def read_by_server(self, name: str, value: object) -> tuple[str, object]:
        if name != "header authorization":
            return name, value
        # The token is of the second; what it says is whose it is and for how long.
        token = str(value).removeprefix("Bearer ")
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
        return name, (
            jwt.get_unverified_header(token),
            claims["iss"],
            claims["exp"] - claims["nbf"],
        )

    def told(self, error: Any) -> Told:
        named = {
            400: sensenova.error.InvalidRequestError,
            401: sensenova.error.AuthenticationError,
            403: sensenova.error.PermissionError,
            404: sensenova.error.InvalidRequestError,
            429: sensenova.error.RateLimitError,
        }
        assert named.get(error.http_status, sensenova.error.APIError) is type(error)
        body = error.json_body["error"]
        return Told(status=error.http_status, code=body.get("code"), message=body.get("message"))

    def sdk(self, server: FaultServer) -> Any:
        sensenova.access_key_id, sensenova.secret_access_key = "id", KEY
        sensenova.api_base = f"{self.origin(server)}/v1"
        return sensenova
