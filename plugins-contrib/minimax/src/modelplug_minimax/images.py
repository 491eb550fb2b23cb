"""Images, drawn from a prompt; a person in them may be that of a given image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelplug.errors import BadReply, ConfigError, Unsupported
from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug_minimax.wire import MiniMaxCodec

_SIDES = re.compile(r"(\d+)[x*](\d+)")
_RATIO = re.compile(r"\d+:\d+")
_FORMS = {"b64_json": "base64"}


class MiniMaxImages(MiniMaxCodec[ImageCall, Produced], OpenAIImages):
    """POST /image_generation."""

    path = "/image_generation"
    options = frozenset(
        "aigc_watermark aspect_ratio height n prompt_optimizer response_format seed size style "
        "subject_reference width".split()
    )

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body. Images come inside the reply, unless URLs are asked for."""
        if call.mask is not None or len(call.images) > 1:
            msg = (
                f"{self.endpoint.provider} takes one image, of the person to be drawn, and no mask"
            )
            raise Unsupported(msg)
        options = dict(call.options)
        form = options.pop("response_format", "base64")
        payload = {
            "model": call.model,
            "prompt": call.prompt,
            "response_format": _FORMS.get(form, form),
            **_size(options.pop("size", None)),
            **options,
        }
        for image in call.images:
            who = {"type": "character", "image_file": image.address}
            payload["subject_reference"] = [who]
        return payload

    def items(self, raw: Any) -> list[Mapping[str, Any]]:
        """The images in OpenAI's terms; those that failed are told by their number alone."""
        data = raw.get("data") if isinstance(raw, dict) else None
        if not isinstance(data, dict):
            msg = "the reply holds no images @ $.data"
            raise BadReply(msg)
        found: list[Mapping[str, Any]] = [
            *({"b64_json": text} for text in data.get("image_base64") or ()),
            *({"url": url} for url in data.get("image_urls") or ()),
        ]
        told = raw.get("metadata")
        failed = str(told.get("failed_count") or "0") if isinstance(told, dict) else "0"
        if failed != "0":
            found.append({"error": {"code": "failed_count", "message": f"{failed} of the images"}})
        return found


def _size(size: object) -> dict[str, Any]:
    """`size` as width and height, or as the ratio that it is."""
    if size is None:
        return {}
    if sides := _SIDES.fullmatch(str(size)):
        return {"width": int(sides[1]), "height": int(sides[2])}
    if _RATIO.fullmatch(str(size)):
        return {"aspect_ratio": size}
    msg = f"size= is width and height or a ratio, not {size!r}; write '1024x1024' or '16:9'"
    raise ConfigError(msg)
