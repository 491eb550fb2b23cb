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

    def flow(self, call: ImageCall) -> Flow[Produced]:
        """The images, from as many requests as the limit `image-batch` makes of them."""
        call = yield from self.prepare(call)
        calls = self._divided(call)
        if len(calls) == 1:
            result = yield from self.draw(calls[0])
            return result
        parts: list[Produced] = yield Together([self.draw(each) for each in calls])
        return Produced(
            tuple(media for part in parts for media in part.media),
            parts[0].model,
            notes=tuple(note for part in parts for note in part.notes),
        )

    def _divided(self, call: ImageCall) -> list[ImageCall]:
        most, wanted = self.endpoint.limits.image_batch, call.options.get("n")
        if most is None or wanted is None or call.resume:
            return [call]
        if type(wanted) is not int or wanted < 1:
            msg = f"n= counts images from 1, and is {wanted!r}"
            raise ConfigError(msg)
        calls: list[ImageCall] = []
        seed = call.options.get("seed")
        for at in range(0, wanted, most):
            options = {**call.options, "n": min(most, wanted - at)}
            if most == 1:
                del options["n"]
            if type(seed) is int:  # with the same one each request would draw the same
                options["seed"] = seed + at
            calls.append(evolve(call, options=options))
        return calls

    def draw(self, call: ImageCall) -> Flow[Produced]:
        """The images of one request, as bytes: URLs live an hour or less."""
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            result = yield from self.collect(call, response.json())
        return result

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

    def draw(self, call: ImageCall) -> Flow[Produced]:
        """Files at a URL are fetched first: this wire takes bytes alone."""
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
