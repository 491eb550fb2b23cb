"""One entry of a config map: its fields, what they may hold, and where each was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import attrs
from attrs import evolve, frozen

from modelplug.config.documents import MOST_VALUES, Document, Keys
from modelplug.errors import BadConfig, ConfigError, did_you_mean
from modelplug.types import ModelType


def _field(about: str, **more: Any) -> Any:
    return attrs.field(default=None, metadata={"about": about}, **more)


@frozen
class Entry:
    """
    How one model is to be had. An entry with `framework`, `deploy_config` or `source: local`
    is local; every other one is online. What is None was left out.
    """

    id: str | None = _field("names the entry: `config_id=` asks for it; `config_id` is the same")
    source: str | None = _field(
        "a provider, such as `qwen`; `local`; `dynamic`; with a framework, the hub of the weights"
    )
    name: str | None = _field("what the model is called there, where that differs")
    url: str | list[str] | None = _field(
        "base URL; several stand in for each other; with `framework`, of the engine that runs there"
    )
    api_key: str | list[str] | None = _field(
        "`env:NAME`, `file:path`, `cmd:program`, `${NAME}`, the key itself, or a list", repr=False
    )
    region: str | None = _field("a region of the provider")
    type: str | None = _field("what the model does: `llm`, `vlm`, `embed`, `rerank`, ...")
    framework: str | None = _field("the engine, such as `vllm` or `llama_cpp`")
    deploy_config: dict[str, Any] | None = _field("options of the engine")
    strict: bool | None = _field("take this entry only where `config_id=` asks for it")
    stream: bool | dict[str, str] | None = _field("echo answers as they come; or `{color: blue}`")
    target_path: str | None = _field("folder of a fine-tuning's results")
    trust_remote_code: bool | None = _field(
        "false: download nothing; true: run code that comes with the weights too"
    )
    return_trace: bool | None = _field("keep what the calls gave in `trace`")
    options: dict[str, Any] | None = _field("call options of every call; those of a provider too")

    @property
    def is_local(self) -> bool:
        """Whether it is served on this machine."""
        return self.source == "local" or bool(self.framework or self.deploy_config)


@cache
def call_options() -> frozenset[str]:
    """The call options that may stand in an entry itself; a provider's own go under `options`."""
    from modelplug.openai_wire import OpenAICompatible

    wires = OpenAICompatible().codecs.values()
    named = {name for wire in wires if wire is not None for name in wire.options}
    ours = {"extra_body", "max_retries", "timeout"}
    return frozenset((named | ours) - {field.name for field in attrs.fields(Entry)})


@frozen
class Found:
    """An entry of *model*, and the way to it in its file."""

    model: str
    entry: Entry
    document: Document
    keys: Keys
    variables: Mapping[str, str] = attrs.field(factory=dict)
    beside: frozenset[str] = frozenset()
    """Call options that stand in the entry itself and not under `options`."""

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.document.shown}:{self.document.line(*self.keys)}"

    def origin(self, field: str, *below: str) -> str:
        """File, line and name of a field, with the variable that is in its value."""
        where = f"{self.document.shown}:{self.document.line(*self.keys, field, *below)}"
        told = f"{where} {'.'.join((field, *below))}"
        variable = self.variables.get(field)
        return f"{told}, ${{{variable}}}" if variable else told

    def origin_of_option(self, name: str) -> str:
        """As `origin`, for a call option, which may stand under `options` or beside it."""
        return self.origin(name) if name in self.beside else self.origin("options", name)

    def fault(self, what: str, mend: str, field: str) -> BadConfig:
        """The error for what is wrong in *field*."""
        return _fault(self.document, (*self.keys, field), what, mend)


def _fault(document: Document, keys: Keys, what: str, mend: str) -> BadConfig:
    at = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    return document.fault(document.line(*keys), what, mend, at)


def entries_of(document: Document, model: str, env: Mapping[str, str]) -> list[Found]:
    """The entries of *model*, [] where it has none; BadConfig for the first that is wrong."""
    return [
        read_entry(document, model, keys, raw, env) for keys, raw in raw_entries(document, model)
    ]


def raw_entries(document: Document, model: str) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """(the way to it, its fields as the file has them) for each entry of *model*."""
    given = document.value(model)
    if given is None and model not in document.names():
        return
    _check_values(document, (model,), given)
    several = given if isinstance(given, list) else [given]
    if not several:
        what, mend = "a model without entries", "write one, or take the name out"
        raise _fault(document, (model,), what, mend)
    for at, raw in enumerate(several):
        keys: Keys = (model, at) if isinstance(given, list) else (model,)
        if not isinstance(raw, dict):
            what = f"an entry is a table of fields, not {_kind(raw)}"
            raise _fault(document, keys, what, "write it as `source: qwen`, for one")
        yield keys, raw


_JSON = (str, int, float, bool, type(None))


def _check_values(document: Document, keys: Keys, value: Any) -> None:
    """BadConfig for what no JSON holds, and for more than an entry can mean."""
    left = MOST_VALUES
    open_: list[tuple[Keys, Any]] = [(keys, value)]
    while open_:
        at, item = open_.pop()
        left -= 1
        if left < 0 or len(at) > 64:
            what = f"more than {MOST_VALUES} values, or lists in lists in lists"
            raise _fault(document, keys, what, "write it without aliases")
        if isinstance(item, dict):
            for name in item:
                if not isinstance(name, str):
                    what = f"a field's name is a text, not {_kind(name)} {name!r:.40}"
                    raise _fault(document, at, what, "put it in quotes")
            open_ += [((*at, name), inner) for name, inner in item.items()]
        elif isinstance(item, list):
            open_ += [((*at, place), inner) for place, inner in enumerate(item)]
        elif not isinstance(item, _JSON):
            what = f"{_kind(item)} has no meaning here"
            raise _fault(document, at, what, "put it in quotes, or take it out")


def _kind(value: object) -> str:
    names = {dict: "a table", list: "a list", str: "a text", bool: "a truth", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def read_entry(
    document: Document, model: str, keys: Keys, raw: dict[str, Any], env: Mapping[str, str]
) -> Found:
    """The entry at *keys*, its variables put in; BadConfig tells line, field and mend."""
    fields = {name: value for name, value in raw.items() if value is not None}
    if "config_id" in fields:
        if "id" in fields:
            what = "an entry has one id"
            raise _fault(document, (*keys, "config_id"), what, "take config_id out")
        fields["id"] = fields.pop("config_id")
    options = _options(document, keys, fields)
    variables: dict[str, str] = {}
    for group in (fields, options):
        for name, value in group.items():
            group[name] = _expanded(document, (*keys, name), value, env, variables, name)
    _check_fields(document, keys, fields)
    if options:
        fields["options"] = {**options, **fields.get("options", {})}
    found = Found(model, Entry(**fields), document, keys, variables, frozenset(options))
    return evolve(found, entry=_checked(found))


def _options(document: Document, keys: Keys, fields: dict[str, Any]) -> dict[str, Any]:
    """The call options among *fields*, taken out of them; BadConfig for what is neither."""
    known = {field.name for field in attrs.fields(Entry)}
    options = {}
    for name in [name for name in fields if name not in known]:
        if name not in call_options():
            near = did_you_mean(name, known | call_options())
            what = f"unknown field {name!r}{near}"
            mend = "a provider's own call options go under options:"
            raise _fault(document, (*keys, name), what, mend)
        options[name] = fields.pop(name)
    return options


def _check_fields(document: Document, keys: Keys, fields: Mapping[str, Any]) -> None:
    from modelplug.config.schema import field_schemas
    from modelplug.schema import faults

    schemas = field_schemas()
    for name, value in fields.items():
        wrong = faults(value, schemas[name], name)
        if wrong:
            kinds = [kind["type"] for kind in schemas[name].get("anyOf", ())]
            # A schema with alternatives tells none of their faults.
            what = f"{' or '.join(kinds)} expected, not {_kind(value)}" if kinds else wrong[0]
            mend = f"{name} is {attrs.fields_dict(Entry)[name].metadata['about']}"
            raise _fault(document, (*keys, name), what, mend)


def _checked(found: Found) -> Entry:
    """The entry, its type by its usual name; BadConfig for fields that contradict each other."""
    entry = found.entry
    if entry.is_local and entry.url is not None:
        if not entry.framework:
            what = "the engine behind this url is not told"
            raise found.fault(what, "add framework:, such as framework: vllm", "url")
        if isinstance(entry.url, list):
            what, mend = "an engine has one url", "make each url an entry of its own"
            raise found.fault(what, mend, "url")
    if entry.is_local and entry.url is None and entry.api_key is not None:
        what = "an engine that is started here makes its own key"
        raise found.fault(what, "take it out, or give the url of one that runs", "api_key")
    if entry.type is None:
        return entry
    try:
        return evolve(entry, type=ModelType.parse(entry.type).value)
    except ConfigError as exc:
        raise found.fault(str(exc), "take one of these, or leave it out", "type") from None


_VARIABLE = re.compile(r"(\$?)\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _expanded(
    document: Document,
    keys: Keys,
    value: Any,
    env: Mapping[str, str],
    variables: dict[str, str],
    field: str,
) -> Any:
    """*value* with each `${NAME}` replaced; `$${NAME}` stays `${NAME}`."""
    if isinstance(value, dict):
        return {
            name: _expanded(document, (*keys, name), inner, env, variables, field)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _expanded(document, (*keys, at), inner, env, variables, field)
            for at, inner in enumerate(value)
        ]
    if not isinstance(value, str) or "${" not in value:
        return value

    def put(match: re.Match[str]) -> str:
        if match[1]:
            return f"${{{match[2]}}}"
        if not _NAME.fullmatch(match[2]):
            what = f"${{{match[2]}}} names no variable"
            raise _fault(document, keys, what, "write ${NAME}, or $${ for ${ itself")
        if match[2] not in env:
            what = f"${{{match[2]}}} and {match[2]} is not set"
            raise _fault(document, keys, what, f"set {match[2]}, or take it out")
        variables.setdefault(field, match[2])
        return env[match[2]]

    return _VARIABLE.sub(put, value)
