"""What a request asks for: checked, and in the words of sentence-transformers."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from typing import Any

from engine_server import Fields, Refused

MOST_INPUTS = 2048
"""Of one request, as OpenAI has it."""

MOST_CHARACTERS = 2**20
"""Of a text: more than any model reads, and little enough to count the tokens of."""

MOST_PIXELS = 2**25
"""Of an image: what a small file unpacks to is not the caller's to choose."""

# Decoders of rare formats are old code that hostile files are made for.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

_ROLES = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
}
"""The words that providers have for what a text is: Cohere's, Voyage's and NVIDIA's."""


def inputs_of(fields: Fields, sees: bool) -> list[Any]:
    """`input` of a request for embeddings: texts, and images for a model that *sees*."""
    given = fields.values.get("input")
    items = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(items, list) or not items:
        raise Refused(400, "input must be a text or a list of texts, at least one")
    if len(items) > MOST_INPUTS:
        raise Refused(400, f"input has {len(items)} items and may have {MOST_INPUTS}")
    return [_text_or_image(item, at, sees) for at, item in enumerate(items)]


def _text_or_image(item: object, at: int, sees: bool) -> Any:
    if isinstance(item, int | list):
        # Some clients count tokens with OpenAI's tokenizer and send the tokens.
        raise Refused(400, "input holds token ids, which are another tokenizer's; send texts")
    if isinstance(item, Mapping) and len(item) == 1:
        name, value = next(iter(item.items()))
        if name == "text" and isinstance(value, str):
            return _text(value, f"input[{at}]")
        if name == "image" and isinstance(value, str):
            if not sees:
                raise Refused(400, "this model takes texts and no images")
            return image_of(value, at)
    if not isinstance(item, str):
        raise Refused(400, f'input[{at}] must be a text, {{"text": ...}} or {{"image": ...}}')
    return _text(item, f"input[{at}]")


def _text(text: str, what: str) -> str:
    """
    *text*, if a tokenizer can read it in a reasonable time.

    JSON can say half of a surrogate pair, at which tokenizers fail.
    """
    if len(text) > MOST_CHARACTERS:
        raise Refused(400, f"{what} has {len(text)} characters and may have {MOST_CHARACTERS}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(400, f"{what} is no text: it holds half a surrogate pair") from None
    return text


def image_of(given: str, at: int) -> Any:
    """A Pillow image whose head has been read; its pixels are when they are needed."""
    from PIL import Image  # models that see need it, others need not have it

    if given.startswith(("http:", "https:")):
        raise Refused(400, "this server fetches nothing; send the image as a data URI")
    body = given.partition(",")[2] if given.startswith("data:") else given
    try:
        data = base64.b64decode(body, validate=True)
    except binascii.Error as exc:
        raise Refused(400, f"input[{at}] is no base64: {exc}") from exc
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Exception as exc:  # noqa: BLE001 - decoders raise whatever a broken file makes them
        formats = ", ".join(IMAGE_FORMATS)
        raise Refused(400, f"input[{at}] is no image that can be read ({formats})") from exc
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Refused(400, f"input[{at}] has {width}x{height} pixels and may have {MOST_PIXELS}")
    return image


def pixels_of(image: Any) -> Any:
    """The whole of an image, unpacked; Refused where it is broken off or spoiled."""
    try:
        return image.convert("RGB")
    except Exception as exc:  # noqa: BLE001 - decoders raise whatever a broken file makes them
        raise Refused(400, "an image is damaged or incomplete") from exc


def documents_of(fields: Fields) -> list[str]:
    """`documents` of a request to rerank; texts, or objects with one."""
    given = fields.values.get("documents")
    if not isinstance(given, list) or not given:
        raise Refused(400, "documents must be a list of texts, at least one")
    if len(given) > MOST_INPUTS:
        raise Refused(400, f"documents has {len(given)} items and may have {MOST_INPUTS}")
    return [_document(item, at) for at, item in enumerate(given)]


def _document(item: object, at: int) -> str:
    text = item.get("text") if isinstance(item, Mapping) else item
    if not isinstance(text, str):
        raise Refused(400, f"documents[{at}] must be a text")
    return _text(text, f"documents[{at}]")


def text_of(fields: Fields, name: str) -> str:
    """A text that is required."""
    return _text(fields.text(name), name)


def flag(fields: Fields, name: str, default: bool) -> bool:
    """True or false."""
    value = fields.values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refused(400, f"{name} must be true or false")
    return value


def prompt_of(fields: Fields, prompts: Mapping[str, str], default: str | None) -> tuple[str, str]:
    """
    (what is put before each text, the task) for `prompt`, `prompt_name` or `input_type`.

    As `encode`, `encode_query` and `encode_document` of sentence-transformers choose them.
    """
    told = [name for name in ("prompt", "prompt_name", "input_type") if fields.has(name)]
    if len(told) > 1:
        raise Refused(400, f"{' and '.join(told)} say the same thing; send one of them")
    if fields.has("prompt"):
        return text_of(fields, "prompt"), ""
    if fields.has("prompt_name"):
        name = fields.text("prompt_name")
        if name not in prompts:
            raise Refused(400, f"the model has no prompt {name[:100]!r}; {_known(prompts)}")
        return prompts[name], ""
    usual = prompts.get(default or "", "")
    if not fields.has("input_type"):
        return usual, ""
    role = _ROLES.get(fields.text("input_type"))
    if role is None:
        raise Refused(400, f"input_type must be one of {', '.join(_ROLES)}")
    names = ("query",) if role == "query" else ("document", "passage", "corpus")
    return next((prompts[name] for name in names if name in prompts), usual), role


def _known(prompts: Mapping[str, str]) -> str:
    return f"it has {', '.join(prompts)}" if prompts else "it has none"


def check_lengths(lengths: Sequence[int], most: int, names: Sequence[str]) -> None:
    """Refused, with OpenAI's code for it, at the first input that the model would cut."""
    for name, length in zip(names, lengths, strict=True):
        if length > most:
            raise Refused(
                400,
                f"{name} has {length} tokens and the model reads {most}; divide it, or "
                f"send truncate=true to have its end cut off",
                "context_length_exceeded",
            )
