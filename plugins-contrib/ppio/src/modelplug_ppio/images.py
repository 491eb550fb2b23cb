"""Images: drawn from a prompt, or changed by one. Each family of models has its own fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply, ConfigError
from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Request
from modelplug_ppio.wire import PPIOCodec, is_one_of

_SIZE = re.compile(r"(\d+)[x*](\d+)")
_SEPARATORS = {"qwen-image*": "*", "seedream*": "x", "glm-image*": "x"}


class PPIOImages(PPIOCodec[ImageCall, Produced], OpenAIImages):
    """POST /v3/<model> or, as a task, /v3/async/<model>."""

    path = ""
    resumes = True
    options = frozenset(
        "aspect_ratio background max_images n output_format quality seed "
        "sequential_image_generation size use_pre_llm watermark watermark_enabled".split()
    )

    def draw(self, call: ImageCall) -> Flow[Produced]:
        """The images of one request, which some models take as a task."""
        response = yield from self.finished(self.build_request(call), call.resume)
        with self.reading(response):
            result = yield from self.collect(call, response.json())
        return result

    def build_request(self, call: ImageCall) -> Request:
        """The request for *call*."""
        return self.media_request(call.model, self.payload(call))

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body: without the model, which is the path."""
        options = dict(call.options)
        size = options.pop("size", None)
        return {"prompt": call.prompt, **options, **_size(call.model, size)}

    def items(self, raw: Any) -> list[Mapping[str, Any]]:
        """The images: a list of URLs, or of objects that hold one, under two names."""
        found = raw.get("images") or raw.get("image_urls") if isinstance(raw, dict) else None
        if not isinstance(found, list):
            msg = "the reply holds no list of images @ $.images"
            raise BadReply(msg)
        return [{"url": _url(item)} for item in found]


class PPIOImageEdit(PPIOImages):
    """The same with images, which each family of models takes in a field of its own."""

    def prepare(self, call: ImageCall) -> Flow[ImageCall]:
        """Gemini takes URLs or bytes, and not some of each: then the URLs are fetched."""
        kinds = {type(image) for image in call.images}
        if not is_one_of(call.model, "gemini-*") or len(kinds) == 1:
            return call
        copies = []
        for image in call.images:
            copies.append((yield from self.local_copy(image)))
        return evolve(call, images=copies)

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body."""
        return super().payload(call) | _given(call.model, call.images)


def _given(model: str, images: Sequence[Media | Remote]) -> dict[str, Any]:
    """*images* in the fields of *model*; none where a task is picked up again."""
    if not images:
        return {}
    if is_one_of(model, "gemini-*"):
        field = "image_urls" if isinstance(images[0], Remote) else "image_base64s"
        return {field: [_bare(image) for image in images]}
    if not is_one_of(model, "qwen-image*"):
        return {"images": [image.address for image in images]}
    if len(images) > 1:
        msg = f"{model} changes one image, and got {len(images)}"
        raise ConfigError(msg)
    return {"image": _bare(images[0])}


def _bare(image: Media | Remote) -> str:
    return image.url if isinstance(image, Remote) else image.base64()


def _url(item: Any) -> str:
    url = item.get("image_url") or item.get("url") if isinstance(item, dict) else item
    if not isinstance(url, str) or not url:
        msg = f"an image is told by no URL but by {item!r} @ $.images"
        raise BadReply(msg)
    return url


def _size(model: str, size: object) -> dict[str, Any]:
    """`size` as *model* writes it; what is no width and height, such as 2K, stays as it is."""
    if size is None:
        return {}
    sides = _SIZE.fullmatch(str(size))
    if sides and is_one_of(model, "jimeng*"):
        return {"width": int(sides[1]), "height": int(sides[2])}
    between = [sign for pattern, sign in _SEPARATORS.items() if is_one_of(model, pattern)]
    return {"size": between[0].join(sides.groups()) if sides and between else size}
