"""Asks an engine on loopback what tokens it makes of a text or a conversation."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from modelplug import TrainableModule
from modelplug.errors import TuningError

TIMEOUT = 60.0


@frozen
class Tokens:
    """
    The routes of one engine's server beside `/v1`: those of llama.cpp, or those of vLLM.

    `dialect` is None where the engine has neither.
    """

    model: TrainableModule
    dialect: str | None

    @classmethod
    def of(cls, model: TrainableModule) -> Tokens:
        """Find out which routes there are."""
        for dialect, probe in (("vllm", {"prompt": "a"}), ("llama.cpp", {"content": "a"})):
            made = cls(model, dialect)
            status, said = made._post("/tokenize", probe)
            if status == 200 and isinstance(said, dict) and said.get("tokens"):
                return made
        return cls(model, None)

    def of_text(self, text: str) -> list[int]:
        """The ids of *text* as the engine embeds it, special tokens included."""
        key = "prompt" if self.dialect == "vllm" else "content"
        return self._ids({key: text, "add_special": True, "add_special_tokens": True})

    def of_conversation(self, messages: Sequence[Any], tools: Any = None) -> list[int]:
        """The ids of the prompt that the engine answers, rendered by its template."""
        asked: dict[str, Any] = {"messages": list(messages)}
        if tools:
            asked["tools"] = tools
        if self.dialect == "vllm":
            return self._ids({**asked, "add_generation_prompt": True})
        prompt = self._ask("/apply-template", asked)["prompt"]
        return self._ids({"content": prompt, "add_special": True, "parse_special": True})

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of *ids*."""
        told = self._ask("/detokenize", {"tokens": list(ids)})
        return str(told["prompt"] if self.dialect == "vllm" else told["content"])

    def _ids(self, asked: Mapping[str, Any]) -> list[int]:
        return [int(each) for each in self._ask("/tokenize", asked)["tokens"]]

    def _ask(self, path: str, asked: Mapping[str, Any]) -> Any:
        status, said = self._post(path, asked)
        if status != 200:
            msg = f"the engine answers HTTP {status} to {path}: {str(said)[:200]}"
            raise TuningError(msg)
        return said

    def _post(self, path: str, asked: Mapping[str, Any]) -> tuple[int, Any]:
        where = urlsplit(self.model.url)
        key = self.model.api_key
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        # Loopback, and no proxy: as the supervisor's probe asks it.
        connection = http.client.HTTPConnection(where.netloc, timeout=TIMEOUT)
        try:
            base = where.path.removesuffix("/v1")
            connection.request("POST", base + path, json.dumps(asked), headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as exc:
            msg = f"the engine at {self.model.url} does not answer: {exc}"
            raise TuningError(msg) from exc
        finally:
            connection.close()
        try:
            return response.status, json.loads(body)
        except ValueError:
            return response.status, body.decode("utf-8", "replace")
