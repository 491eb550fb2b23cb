"""
The config map: names of models, each with one entry or several, in YAML or TOML.

    chat:                          # AutoModel("chat")
      source: qwen
      name: qwen3-max
      api_key: env:TEAM_KEY

Only the entry that is asked for is read. Every error tells file, line, field and mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from modelplug.config.documents import Document
from modelplug.config.entries import Entry, Found, entries_of, raw_entries, read_entry
from modelplug.config.places import Place, find_config
from modelplug.errors import BadConfig, ConfigError, did_you_mean

__all__ = ["ConfigMap", "Entry", "Found", "load_config"]

RESERVED = ("$schema", "sources")
"""Top-level names that are no model's."""


def load_config(config: str | bool, env: Mapping[str, str]) -> ConfigMap | None:
    """The config map that counts, unread but for its place; None where there is none."""
    place = find_config(config, env)
    return None if place is None else ConfigMap(place, env)


@frozen
class ConfigMap:
    """One config map."""

    place: Place
    env: Mapping[str, str]

    @property
    def document(self) -> Document:
        """Its file."""
        return self.place.document

    @property
    def models(self) -> list[str]:
        """The names of the models in it."""
        return [name for name in self.document.names() if name not in RESERVED]

    def entries(self, model: str) -> list[Found]:
        """The entries of *model*, in the file's order; [] where there are none."""
        if model in RESERVED:
            return []
        return [self._allowed(found) for found in entries_of(self.document, model, self.env)]

    def _allowed(self, found: Found) -> Found:
        keys = found.entry.api_key
        several = keys if isinstance(keys, list) else [keys or ""]
        if not self.place.named and any(key.startswith("cmd:") for key in several):
            # It came with the folder: a checkout of somebody else's must not run programs.
            what = "a config map of the working directory runs no program"
            mend = "use env: or file:, or name this file with config= or the variable"
            raise found.fault(what, mend, "api_key")
        return found

    def with_id(self, config_id: str, model: str = "") -> Found:
        """The one entry with an id, of *model* if that is told; ConfigError lists the ids."""
        models = [model] if model else self._models_with(config_id)
        ids = [(model_, at) for model_ in models for at in self._ids(model_) if at == config_id]
        if len(ids) > 1:
            names = " and ".join(sorted({repr(model_) for model_, _ in ids}))
            msg = f"{self.document.shown}: several entries of {names} have the id {config_id!r}; "
            msg += "give each entry an id of its own"
            raise ConfigError(msg)
        if not ids:
            raise self._no_id(config_id, model)
        model_ = ids[0][0]
        entries = raw_entries(self.document, model_)
        found = next(
            read_entry(self.document, model_, keys, raw, self.env)
            for keys, raw in entries
            if _id_of(raw) == config_id
        )
        return self._allowed(found)

    def _models_with(self, word: str) -> list[str]:
        return [name for name in self.document.holding(word) if name not in RESERVED]

    def _ids(self, model: str) -> Iterator[str]:
        for _, raw in raw_entries(self.document, model):
            if (given := _id_of(raw)) is not None:
                yield str(given)

    def _no_id(self, config_id: str, model: str) -> ConfigError:
        pairs = [(at, name) for name in self.models for at in self._ids(name)]
        here = [at for at, name in pairs if not model or name == model]
        whose = f" of {model!r}" if model else ""
        elsewhere = [name for at, name in pairs if at == config_id and name != model]
        known = ", ".join(map(repr, here[:20])) or "none"
        msg = (
            f"{self.document.shown} has no entry{whose} with the id {config_id!r} (it has: {known})"
        )
        if elsewhere:
            msg += f"; that id is an entry's of {elsewhere[0]!r}"
        else:
            msg += did_you_mean(config_id, here) or "; name one of these"
        return ConfigError(msg)

    @property
    def sources(self) -> list[str]:
        """The declared order of providers; [] where none is."""
        given = self.document.value("sources")
        if given is None:
            return []
        if isinstance(given, list) and all(isinstance(name, str) for name in given):
            return given
        line = self.document.line("sources")
        what, mend = "sources is a list of providers", "write it as [qwen, openai]"
        raise self.document.fault(line, what, mend, "sources")

    def faults(self) -> list[BadConfig]:
        """The first fault of each model, in the file's order; the syntax's alone if it has one."""
        found: list[BadConfig] = []
        try:
            self.document.check()
            names = self.models
            _ = self.sources
        except BadConfig as exc:
            return [exc]
        for name in names:
            try:
                self.entries(name)
            except BadConfig as exc:
                found.append(exc)
        return found


def _id_of(raw: Mapping[str, object]) -> object:
    return raw.get("id", raw.get("config_id"))
