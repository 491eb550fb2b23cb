"""JSON to attrs classes, or an error that says where: `... missing @ $.choices[0].message`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from attrs import fields, has

from modelplug.errors import BadReply, ConfigError, did_you_mean

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

# cattrs costs 50 ms to import, so every function here imports it by itself: a codec that is
# only constructed never needs it.


class _Mismatch(TypeError):
    """A value of another type than the field's."""


def _exactly(kind: type[T]) -> Any:
    def hook(value: object, cls: type[T]) -> T:
        if type(value) is kind:
            # The hook for str is asked for each StrEnum too.
            return value if cls is kind else cls(value)  # type: ignore[call-arg]
        msg = f"{kind.__name__} expected, not {type(value).__name__}"
        raise _Mismatch(msg)

    return hook


def _number(value: object, _: type[float]) -> float:
    if type(value) in (float, int):
        return float(value)  # type: ignore[arg-type]  # narrowed by the line above
    msg = f"number expected, not {type(value).__name__}"
    raise _Mismatch(msg)


def _converter(*, detailed: bool, strict: bool = False) -> Converter:
    from cattrs import Converter

    converter = Converter(detailed_validation=detailed, forbid_extra_keys=strict)
    # cattrs' own hooks make the text "None" of a JSON null typed str, and 1 of "1".
    for kind in (str, int, bool, type(None)):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    return converter


@cache
def _fast() -> Converter:
    return _converter(detailed=False)


@cache
def _detailed() -> Converter:
    return _converter(detailed=True)


@cache
def _strict() -> Converter:
    from cattrs.gen import make_dict_structure_fn, override

    converter = _converter(detailed=True, strict=True)

    def hyphens(cls: type[Any]) -> Any:
        names = {
            attribute.name: override(rename=attribute.name.replace("_", "-"))
            for attribute in fields(cls)
            if attribute.init
        }
        return make_dict_structure_fn(cls, converter, **names)  # type: ignore[arg-type]

    converter.register_structure_hook_factory(has, hyphens)
    return converter


def structure(data: object, cls: type[T]) -> T:
    """*data*, parsed JSON, as *cls*; BadReply tells every path that does not fit."""
    try:
        return _fast().structure(data, cls)
    except Exception:  # noqa: BLE001 - cattrs lets any hook's exception out; told again below
        return _structure_with_paths(data, cls)


def _structure_with_paths(data: object, cls: type[T]) -> T:
    # The detailed converter costs twice as much, so it only runs to name the fault.
    from cattrs import transform_error

    try:
        return _detailed().structure(data, cls)
    except Exception as exc:
        reasons = transform_error(exc, format_exception=_reply_fault)
        msg = f"the reply is not a {_name(cls)}: {'; '.join(reasons)}"
        raise BadReply(msg) from exc


def _name(cls: object) -> str:
    return getattr(cls, "__name__", str(cls)).lstrip("_")  # a union has no __name__


def _reply_fault(exc: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    # cattrs' own words name the type that was expected and not the one that came.
    return str(exc) if isinstance(exc, _Mismatch) else format_exception(exc, kind)


def structure_config(data: object, cls: type[T], where: str) -> T:
    """
    *data* from a manifest or a file as *cls*; keys are the field names with hyphens.

    An unknown key is an error that names the near match. *where* begins the message.
    """
    from cattrs import transform_error

    try:
        return _strict().structure(data, cls)
    except Exception as exc:
        reasons = transform_error(exc, format_exception=_config_fault)
        msg = f"{where}: {'; '.join(reasons)}"
        raise ConfigError(msg) from exc


def _config_fault(exc: BaseException, kind: type | None) -> str:
    from cattrs.errors import ForbiddenExtraKeysError

    if isinstance(exc, ForbiddenExtraKeysError):
        known = [f.name.replace("_", "-") for f in fields(exc.cl)]
        told = [f"unknown key {key!r}{did_you_mean(key, known)}" for key in exc.extra_fields]
        return ", ".join(told)
    if isinstance(exc, KeyError):
        return f"required key {str(exc.args[0]).replace('_', '-')!r} is missing"
    return str(exc) or type(exc).__name__


def parse_json(body: bytes) -> Any:
    """*body* as JSON; BadReply shows how it begins. Blank keep-alive lines before it are fine."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        shown = body[:200].decode("utf-8", "replace").strip() or "nothing at all"
        msg = f"the reply is not JSON: {shown!r}"
        raise BadReply(msg) from exc


def json_body(payload: object) -> bytes:
    """*payload* as the body of a request; ConfigError for what no JSON can hold."""
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError as exc:
        msg = f"the request cannot be written as JSON: {exc}"
        raise ConfigError(msg) from exc
