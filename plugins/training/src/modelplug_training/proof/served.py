"""Asks an engine on loopback what tokens it makes of texts, and how likely it finds given ones."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from modelplug import TrainableModule
from modelplug.errors import TuningError

TIMEOUT = 600.0
"""Seconds: a long prompt takes minutes on a slow machine."""

SURELY = 1000.0
"""What is added to the logit of a token that is to be said: no model's differ by as much."""

ALL = 400_000
"""More tokens than any vocabulary has."""


class TooLong(TuningError):
    """More tokens than the engine has context for."""


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

    def of_conversation(
        self, messages: Sequence[Any], tools: Any = None, **variables: Any
    ) -> list[int]:
        """The ids of the prompt that the engine answers, rendered by its template."""
        asked: dict[str, Any] = {"messages": list(messages)}
        if variables:
            asked["chat_template_kwargs"] = variables
        if tools:
            asked["tools"] = tools
        if self.dialect == "vllm":
            return self._ids({**asked, "add_generation_prompt": True})
        prompt = self._ask("/apply-template", asked)["prompt"]
        return self._ids({"content": prompt, "add_special": True, "parse_special": True})

    def of_answer(self, text: str) -> list[int]:
        """The ids of *text* as it stands within a conversation."""
        key = "prompt" if self.dialect == "vllm" else "content"
        return self._ids({key: text, "add_special": False, "add_special_tokens": False})

    def losses(self, prompt: Sequence[int], answer: Sequence[int]) -> list[float]:
        """
        The negative log-probability of each token of *answer*, said after those before it.

        TooLong where the engine has no context for all of them.
        """
        if self.dialect == "vllm":
            # Under its name on the wire: an adapter is served beside its base.
            asked: dict[str, Any] = {"model": self.model._codec().endpoint.model}
            asked |= {"prompt": [*prompt, *answer], "max_tokens": 1, "prompt_logprobs": 0}
            [told] = self._ask("/v1/completions", asked)["choices"]
            said = told["prompt_logprobs"][len(prompt) :]
            return [-each[str(token)]["logprob"] for each, token in zip(said, answer, strict=True)]
        return [self._loss([*prompt, *answer[:place]], token) for place, token in enumerate(answer)]

    def _loss(self, before: Sequence[int], token: int) -> float:
        # llama.cpp scores no prompt, so each token is made the next one in turn, and only it is
        # computed: the rest is in its cache. Probabilities are those before any bias. A grammar
        # would do with one request, but not where a token is a part of a letter (2026-11).
        if told := self._next(before, token, 1):
            return -float(told["logprob"])
        # Of such a part it reports nothing: then all tokens are, where another one is said.
        told = self._next(before, self.of_answer("a")[0], ALL)
        return next(-float(e["logprob"]) for e in told["top_logprobs"] if e["id"] == token)

    def _next(self, before: Sequence[int], token: int, most: int) -> dict[str, Any]:
        """What is told of the token after *before*, made to be *token*, and of the likeliest."""
        bias = [[token, SURELY]]
        asked = {"prompt": before, "n_predict": 1, "n_probs": most, "logit_bias": bias}
        asked |= {"temperature": 0, "cache_prompt": True}
        told: list[dict[str, Any]] = self._ask("/completion", asked).get(
            "completion_probabilities", [{}]
        )
        return told[0]

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
            raise TooLong(msg) if status == 400 and "context" in str(said) else TuningError(msg)
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
