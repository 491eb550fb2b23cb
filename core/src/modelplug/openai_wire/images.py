"""Images: drawn from a prompt, or changed by one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply, ConfigError
from modelplug.media import Media, sniff
from modelplug.openai_wire.base import OpenAICodec, read_usage
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Request, Together


class OpenAIImages(OpenAICodec[ImageCall, Produced]):
    """POST /images/generations. Replies hold base64 or URLs, which are fetched at once."""

    path = "/images/generations"
    options = frozenset(
        "background moderation n output_compression output_format quality response_format "
        "seed size style user".split()
    )
    one_at_a_time = False
    """Whether the server draws one image a request: `n` of them are then `n` requests."""

    def flow(self, call: ImageCall) -> Flow[Produced]:
        """The images of the reply, as bytes: URLs live an hour or less."""
        if self.one_at_a_time and "n" in call.options:
            several = yield from self._one_by_one(call)
            return several
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            result = yield from self.collect(call, response.json())
        return result

    def _one_by_one(self, call: ImageCall) -> Flow[Produced]:
        options = dict(call.options)
        count = options.pop("n")
        if type(count) is not int or count < 1:
            msg = f"n= counts images from 1, and is {count!r}"
            raise ConfigError(msg)
        one = evolve(call, options=options)
        parts: list[Produced] = yield Together([self.flow(one) for _ in range(count)])
        return Produced(
            tuple(media for part in parts for media in part.media),
            parts[0].model,
            notes=tuple(note for part in parts for note in part.notes),
        )

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        return {"model": call.model, "prompt": call.prompt, **call.options}

    def build_request(self, call: ImageCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def items(self, raw: Any) -> list[Mapping[str, Any]]:
        """The images of a reply, each with `b64_json` or `url`, or an `error`."""
        items = raw.get("data") if isinstance(raw, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            msg = "the reply holds no list of images @ $.data"
            raise BadReply(msg)
        return items

    def collect(self, call: ImageCall, raw: Any) -> Flow[Produced]:
        """The images of *raw*, a parsed reply, as bytes."""
        media: list[Media] = []
        notes: list[str] = []
        for item in self.items(raw):
            if text := item.get("b64_json"):
                media.append(image_of_base64(text))
            elif url := item.get("url"):
                if not isinstance(url, str):
                    msg = f"the address of an image is {url!r} @ $.data"
                    raise BadReply(msg)
                media.append((yield from self.download(url)))
            elif isinstance(error := item.get("error"), dict):
                notes.append(f"{error.get('code')}: {error.get('message')}")
        if not media:
            msg = f"the reply holds no image{': ' if notes else ''}{'; '.join(notes)} @ $.data"
            raise BadReply(msg)
        model = raw.get("model")
        return Produced(
            tuple(media),
            model if isinstance(model, str) else call.model,
            read_usage(raw.get("usage")),
            tuple(notes),
            raw,
        )


def image_of_base64(text: object) -> Media:
    """Base64, or a data URI, as an image."""
    body = str(text)
    if body.startswith("data:"):
        body = body.partition(",")[2]
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as exc:
        msg = f"an image is no base64: {exc} @ $.data"
        raise BadReply(msg) from exc
    return Media(data, sniff(data))


class OpenAIImageEdit(OpenAIImages):
    """POST /images/edits: multipart, one `image` or several `image[]`, and a `mask`."""

    path = "/images/edits"
    options = OpenAIImages.options | {"input_fidelity"}

    def flow(self, call: ImageCall) -> Flow[Produced]:
        """Files at a URL are fetched first: this wire takes bytes alone."""
        if not call.images:
            msg = "image editing needs files=[...], at least one image"
            raise ConfigError(msg)
        name = "image" if len(call.images) == 1 else "image[]"
        files: list[tuple[str, Media]] = []
        for image in call.images:
            files.append((name, (yield from self.local_copy(image))))
        if call.mask is not None:
            files.append(("mask", (yield from self.local_copy(call.mask))))
        response = yield from self.send(self.multipart(self.payload(call), files))
        with self.reading(response):
            result = yield from self.collect(call, response.json())
        return result
