"""What `AutoModel` was asked for, with what the config map adds, and where each value is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from modelplug.auto.choice import Candidate
from modelplug.config import ConfigMap, Found, load_config
from modelplug.errors import ConfigError
from modelplug.types import ModelType, Secret

KeyGiven = str | Secret | Sequence[str | Secret] | None


@frozen
class Asked:
    """
    The arguments of one call, or of `using`; then the same with an entry's fields put in.

    What the caller wrote is never replaced. `origins` tells of each field what set it.
    """

    model: str = ""
    source: str | None = None
    type: ModelType | None = None
    config_id: str | None = None
    config: str | bool = True
    url: str | list[str] | None = None
    api_key: KeyGiven = field(default=None, repr=False)
    found: Found | None = None
    order: tuple[str, ...] = ()
    order_from: str = ""
    notes: tuple[Candidate, ...] = ()

    def origin(self, name: str) -> str:
        """What set a field, in words: `argument url`, `modelplug.yaml:4 url`."""
        found = self.found
        if found is not None and self._from_entry(name, found):
            return found.origin("name" if name == "model" else name)
        return f"argument {name}"

    def _from_entry(self, name: str, found: Found) -> bool:
        written = found.entry.name if name == "model" else getattr(found.entry, name)
        value = getattr(self, name)
        return written is not None and written == value

    @property
    def entry_options(self) -> Mapping[str, Any]:
        """Options for the constructor that the entry gives."""
        if self.found is None:
            return {}
        entry = self.found.entry
        given = {"stream": entry.stream, "return_trace": entry.return_trace}
        named = {name: value for name, value in given.items() if value is not None}
        return {**(entry.options or {}), **named}


def with_config(asked: Asked, env: Mapping[str, str]) -> Asked:
    """
    *asked* with the entry of the config map that fits it, if there is one.

    ConfigError where `config_id` names none, or one that contradicts the call; BadConfig.
    """
    config = load_config(asked.config, env)
    if config is None:
        if asked.config_id is not None:
            raise ConfigError(_no_map(asked))
        return asked
    asked = evolve(
        asked,
        order=tuple(config.sources),
        order_from=f"{config.document.shown}, sources" if config.sources else "",
    )
    if asked.config_id is not None:
        found = config.with_id(asked.config_id, asked.model)
        if why := _against(asked, found):
            msg = f"config_id={asked.config_id!r} ({found.place}) {why}; leave one of the two out"
            raise ConfigError(msg)
        told = Candidate(found.place, "chosen", f"config_id={asked.config_id!r}")
        return _merged(asked, found, (told,))
    entries = config.entries(asked.model) if asked.model else []
    return _fitting(asked, config, entries) if entries else asked


def _no_map(asked: Asked) -> str:
    if asked.config is False:
        return (
            f"config_id={asked.config_id!r} and config=False contradict each other; leave one out"
        )
    return (
        f"config_id={asked.config_id!r} and there is no config map; write ./modelplug.yaml, "
        f"or name one with config= or MODELPLUG_AUTO_MODEL_CONFIG_MAP_PATH"
    )


def _fitting(asked: Asked, config: ConfigMap, entries: list[Found]) -> Asked:
    """The first entry that does not contradict the call; the others are told with a reason."""
    parts: list[Candidate] = []
    taken: Found | None = None
    for found in entries:
        label = f"line {found.document.line(*found.keys)}"
        if found.entry.id is not None:
            label += f", id {found.entry.id!r}"
        if why := _against(asked, found):
            parts.append(Candidate(label, "no", why))
        elif found.entry.strict:
            how = f"config_id={found.entry.id!r}" if found.entry.id else "an id, and config_id="
            parts.append(Candidate(label, "no", f"strict: it takes {how}"))
        elif taken is None:
            taken = found
            parts.append(Candidate(label, "chosen", _gist(found)))
        else:
            parts.append(Candidate(label, "possible", f"{_gist(found)}; comes later in the file"))
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    verdict = "no" if taken is None else "chosen"
    told = Candidate(config.document.shown, verdict, f"{count} of {asked.model!r}", tuple(parts))
    return evolve(asked, notes=(told,)) if taken is None else _merged(asked, taken, (told,))


def _against(asked: Asked, found: Found) -> str:
    """Why an entry does not fit what the caller wrote; "" if it does."""
    entry = found.entry
    wrote = f"the call says source={asked.source!r}"
    if asked.source == "local":
        if not entry.is_local and (entry.source or entry.url):
            return f"is online, and {wrote}"
    elif asked.source is not None:
        if entry.is_local:
            return f"is local, and {wrote}"
        if entry.source not in (None, asked.source):
            return f"is for {entry.source!r}, and {wrote}"
    if asked.type is not None and entry.type not in (None, asked.type.value):
        return f"is of type {entry.type}, and the call says type={asked.type.value!r}"
    return ""


def _gist(found: Found) -> str:
    """An entry in a few words."""
    entry = found.entry
    urls = entry.url if isinstance(entry.url, list) else [entry.url] if entry.url else []
    where = f" at {', '.join(urls)}" if urls else ""
    if entry.framework:
        return f"engine {entry.framework}{where}"
    if entry.is_local:
        return "local"
    return f"source {entry.source}{where}" if entry.source else where.strip() or "other settings"


def _merged(asked: Asked, found: Found, notes: tuple[Candidate, ...]) -> Asked:
    entry = found.entry
    source = asked.source or entry.source
    if entry.is_local and entry.source not in (None, "local"):
        source = "local"  # an engine's entry names the hub of its weights by `source`
    return evolve(
        asked,
        model=entry.name or asked.model or found.model,
        source="local" if entry.is_local else source,
        type=asked.type or (ModelType.parse(entry.type) if entry.type else None),
        url=asked.url if asked.url is not None else entry.url,
        api_key=asked.api_key if asked.api_key is not None else entry.api_key,
        found=found,
        notes=notes,
    )
