"""What a caller writes, as the messages of a chat request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.errors import ConfigError, did_you_mean
from modelplug.media import File, Media, Remote, as_file

History = Sequence[Sequence[str]]
"""Past turns as [question, answer] pairs, the oldest first."""

_SLOT = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")


@frozen
class Prompt:
    """What stands before each question: a system text, and a template for the user's turn."""

    system: str = ""
    user: str = ""

    @classmethod
    def read(cls, prompt: str | Mapping[str, str] | Prompt | None) -> Prompt:
        """A prompt as users give one: system text, or {"system": ..., "user": ...}."""
        if prompt is None:
            return cls()
        if isinstance(prompt, Prompt):
            return prompt
        if isinstance(prompt, str):
            return cls(system=prompt)
        if not isinstance(prompt, Mapping):
            msg = f"a prompt is a text or a mapping, not {type(prompt).__name__}"
            raise ConfigError(msg)
        known = {"system", "user"}
        for key, text in prompt.items():
            if not isinstance(text, str):
                msg = f"the prompt's {key!r} is a text, not {type(text).__name__}"
                raise ConfigError(msg)
            if key not in known:
                near = did_you_mean(key, known)
                msg = f"a prompt has no part {key!r}, only 'system' and 'user'{near}"
                raise ConfigError(msg)
        return cls(**prompt)


def fill(template: str, values: Mapping[str, object]) -> str:
    """
    *template* with every `{name}` replaced; `{{` and `}}` stand for braces.

    Only names: `{a.b}` and `{0}` stay as they are, so JSON in a prompt needs no escapes and
    no attribute of a value can be reached.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if match[1] not in values:
            have = ", ".join(map(str, values)) or "nothing"
            msg = (
                f"the prompt needs {match[1]!r} and the call gave {have}"
                f"{did_you_mean(match[1], map(str, values))}"
            )
            raise ConfigError(msg)
        return str(values[match[1]])

    return _SLOT.sub(replace, template)


def build_messages(
    given: object,
    *,
    prompt: Prompt,
    history: History = (),
    files: Iterable[File] = (),
) -> list[Mapping[str, Any]]:
    """
    The messages of one request.

    *given* is the question; a list of messages as OpenAI's, which is sent as it is, after
    the prompt's system text and the history; or a mapping of values for the prompt's names.
    """
    if isinstance(files, str | bytes | Path | Media | Remote):
        msg = "files= takes a list; put the one file into [...]"
        raise ConfigError(msg)
    system, turns = prompt.system, _turns(given, prompt)
    if isinstance(given, Mapping):
        system = fill(system, given)
    messages: list[Mapping[str, Any]] = []
    if system and not (turns and turns[0].get("role") in ("system", "developer")):
        messages.append({"role": "system", "content": system})
    for pair in history:
        messages += _pair(pair)
    messages += turns
    attached = list(files)
    if attached:
        messages[-1] = _with_files(messages[-1], attached)
    return messages


def _turns(given: object, prompt: Prompt) -> list[Mapping[str, Any]]:
    if isinstance(given, str):
        text = fill(prompt.user, {"input": given}) if prompt.user else given
        return [{"role": "user", "content": text}]
    if isinstance(given, Mapping):
        if "role" in given:
            return [given]
        if not prompt.user:
            msg = (
                "a mapping of values needs a prompt with a user template; "
                "call m.prompt({'user': '... {name} ...'}) first"
            )
            raise ConfigError(msg)
        return [{"role": "user", "content": fill(prompt.user, given)}]
    if isinstance(given, Sequence) and given and all(_is_message(item) for item in given):
        return list(given)
    msg = (
        f"a chat model takes a text, a list of messages ({{'role': ..., 'content': ...}}) or "
        f"a mapping for its prompt, not {type(given).__name__}"
    )
    raise ConfigError(msg)


def _is_message(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("role"), str)


def _pair(pair: Sequence[str]) -> list[Mapping[str, Any]]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        msg = f"the history is a list of [question, answer] pairs, and holds {pair!r}"
        raise ConfigError(msg)
    return [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]


def _with_files(message: Mapping[str, Any], files: Sequence[File]) -> Mapping[str, Any]:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    return {**message, "content": [*parts, *map(_part, files)]}


def _part(file: File) -> Mapping[str, Any]:
    media = as_file(file)
    if not isinstance(media, Media):
        return {"type": "image_url", "image_url": {"url": media.url}}
    if not media.mime.startswith("image/"):
        msg = f"a chat model takes images, and {_name(file)} is {media.mime}"
        raise ConfigError(msg)
    url = media.data_uri()
    return {"type": "image_url", "image_url": {"url": url}}


def _name(file: File) -> str:
    return repr(str(file)) if isinstance(file, str | Path) else "one of the files"
