"""
The route `/generate` of vLLM's first server, for those that still have nothing else.

    POST /generate {"prompt": ..., "stream": false, sampling parameters...}
    → {"text": ["<the prompt><the answer>", ...]}

A stream is a JSON object a line (in the first versions each ends with a NUL), whose text is
all that there is so far. Read in vllm/entrypoints/api_server.py, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from modelplug.errors import BadReply, TransportFailed, Unsupported
from modelplug.openai_wire import OpenAICodec
from modelplug.structure import json_body, parse_json, structure
from modelplug.types import ChatCall, Completion, Event, Finish, Text, Usage
from modelplug.wire import Request, Response


@frozen
class _Reply:
    text: list[str]


class GenerateChat(OpenAICodec[ChatCall, Completion]):
    """
    Chat on a route that completes text: the server applies no chat template.

    One message goes as it is; several are written as a dialogue.
    """

    options = frozenset(
        "best_of frequency_penalty ignore_eos max_tokens min_p n presence_penalty "
        "repetition_penalty seed skip_special_tokens stop stop_token_ids temperature top_k "
        "top_p".split()
    )

    def build_request(self, call: ChatCall) -> Request:
        """The request for *call*; no schema can be asked for."""
        if call.schema is not None:
            msg = f"{self.endpoint.url} is an old route that knows no schema"
            raise Unsupported(msg)
        return Request(
            "POST",
            self.endpoint.url,
            headers={"content-type": "application/json"},
            body=json_body({"prompt": prompt_of(call), "stream": call.stream, **call.options}),
            auth=self.endpoint.api_key,
            timeouts=self.endpoint.timeouts,
        )

    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        """The first text, without the prompt that it begins with."""
        raw = response.json()
        text = _first(structure(raw, _Reply)).removeprefix(prompt_of(call))
        return Completion(text, model=call.model, raw=raw)

    def decoder(self, call: ChatCall) -> GenerateDecoder:
        """A decoder for one streamed reply."""
        return GenerateDecoder(prompt_of(call))


class GenerateDecoder:
    """Lines that each repeat the text so far, prompt and all, to what each adds."""

    def __init__(self, prompt: str) -> None:
        self.finished = False
        self._prompt = prompt
        self._told = ""
        self._rest = b""
        self._answered = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        """Append to *events* what *chunk* completes."""
        *lines, self._rest = (self._rest + chunk.replace(b"\0", b"\n")).split(b"\n")
        for line in lines:
            self._line(line, events)

    def finish(self, events: list[Event]) -> None:
        """The end of the body, which is the only mark of the answer's end."""
        self._line(self._rest, events)
        if not self._answered:
            msg = "the stream ended before the answer began"
            raise TransportFailed(msg)
        events += [Usage(), Finish("stop")]
        self.finished = True

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line.strip():
            return
        text = _first(structure(parse_json(line), _Reply)).removeprefix(self._prompt)
        self._answered = True
        if new := text[len(self._told) :]:
            events.append(Text(new))
        self._told = text


def _first(reply: _Reply) -> str:
    if not reply.text:
        msg = "the reply has no text @ $.text"
        raise BadReply(msg)
    return reply.text[0]


def prompt_of(call: ChatCall) -> str:
    """The messages as one text that the answer continues."""
    messages = call.messages
    if len(messages) == 1:
        return _text(messages[0])
    return "".join(f"{m['role']}: {_text(m)}\n" for m in messages) + "assistant:"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts: Sequence[Mapping[str, Any]] = content or ()
    if any(part.get("type") != "text" for part in parts):
        msg = "an old /generate route takes text alone, no files"
        raise Unsupported(msg)
    return "".join(part["text"] for part in parts)
