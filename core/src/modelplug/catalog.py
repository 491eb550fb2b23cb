"""What plugins can do, read from the modelplug.toml beside each module; nothing is imported."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from modelplug.errors import BadManifest, ConfigError, Refused, did_you_mean, refusal
from modelplug.families import ModelFamily
from modelplug.structure import structure_config
from modelplug.types import ErrorRule, Limits, ModelType, Quirks, Settings

FILE_NAME = "modelplug.toml"

CAPABILITIES = frozenset(
    "embed-base64 image-input json-object json-schema reasoning stream tools".split()
)
"""The words that `does` may hold."""

_LITERAL = re.compile(r"[*?\[]")
NOT_OFFERED = "none"
"""In `models`, instead of a type: names of the provider's that it does not offer here."""

CONTRACT = 1
"""Version of the contract between core and plugins; a manifest may name the one it needs."""


Validator = Callable[[Any, Any, Mapping[str, Any]], None]


def _settings(_: Any, __: Any, table: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(Settings)]
    for key in table:
        if key not in known:
            msg = f"unknown key {key!r}{did_you_mean(key, known)}"
            raise ConfigError(msg)


def _a_part_of(cls: type[Any]) -> Validator:
    def check(_: Any, __: Any, table: Mapping[str, Any]) -> None:
        structure_config(table, cls, cls.__name__.lower())

    return check


def _typed_keys(table: Mapping[str, str]) -> dict[str, str]:
    return {ModelType.parse(name).value: model for name, model in table.items()}


def _typed_values(table: Mapping[str, str]) -> dict[str, str]:
    return {
        pattern: name if name == NOT_OFFERED else ModelType.parse(name).value
        for pattern, name in table.items()
    }


def _typed(names: list[str]) -> list[str]:
    return [ModelType.parse(name).value for name in names]


@frozen
class Rule:
    """
    `[[create_online.<source>.rules]]`: what differs for the models that `match` a pattern.

    `does` adds capabilities and `lacks` takes some away; `limits` and `quirks` hold the
    fields that differ.
    """

    match: str
    does: list[str] = field(factory=list)
    lacks: list[str] = field(factory=list)
    limits: dict[str, Any] = field(factory=dict, validator=_a_part_of(Limits))
    quirks: dict[str, Any] = field(factory=dict, validator=_a_part_of(Quirks))


@frozen
class Service:
    """
    `[create_online.<source>.services.<name>]`: where a provider has some models elsewhere.

    It is for the models that one of the patterns `match` and for all of `types`. With keys
    of its own, its variables are MODELPLUG_<SOURCE>_<NAME>_API_KEY and the like.
    """

    base_url: str
    base_url_env: list[str] = field(factory=list)
    match: list[str] = field(factory=list)
    types: list[str] = field(factory=list, converter=_typed)
    key_env: list[str] = field(factory=list)
    key_pairs: list[list[str]] = field(factory=list)
    key_url: str = ""

    def has(self, model: str, type: str) -> bool:
        """Whether *model*, of *type* where that is known, is reached here."""
        name = model.lower()
        return type in self.types or any(fnmatchcase(name, pattern) for pattern in self.match)


def _refusals(table: Mapping[str, list[str]]) -> dict[str, list[str]]:
    for name in table:
        refusal(name)
    return dict(table)


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in table.items()}


@frozen
class Provider:
    """
    `[create_online.<source>]`: an online provider.

    `types` maps each type that it offers to the default model; `models` maps patterns
    (fnmatch, lower case, first match first) to types, or to `none`: names that are the
    provider's and that it does not offer here. `does` holds capabilities: stream,
    tools, json-schema, json-object, image-input, reasoning, embed-base64. `options` are call
    options beyond the wire's own. With `generic_elsewhere`, a `url` on another host than
    `base_url`'s is taken for a server that is merely compatible: no quirk is applied there.
    `regions` are other base URLs, by the name that `region=` takes. With `path_optional`, a
    base URL that is a host alone gets the path of `base_url`. `key_pairs` are pairs of
    variables that make one key, `id:secret`, where none of `key_env` is set. `errors` maps the
    classes of modelplug.errors to the provider's codes for them; `error_rules` are for what
    the codes leave open.
    """

    title: str
    base_url: str = ""
    base_url_env: list[str] = field(factory=list)
    key_env: list[str] = field(factory=list)
    key_pairs: list[list[str]] = field(factory=list)
    key_url: str = ""
    types: dict[str, str] = field(factory=dict, converter=_typed_keys)
    models: dict[str, str] = field(factory=dict, converter=_typed_values)
    does: list[str] = field(factory=list)
    options: list[str] = field(factory=list)
    limits: Limits = Limits()
    quirks: Quirks = Quirks()
    generic_elsewhere: bool = False
    path_optional: bool = False
    regions: dict[str, str] = field(factory=dict)
    rules: list[Rule] = field(factory=list)
    services: dict[str, Service] = field(factory=dict)
    errors: dict[str, list[str]] = field(factory=dict, converter=_refusals)
    error_rules: list[ErrorRule] = field(factory=list)

    @property
    def codes(self) -> dict[str, type[Refused]]:
        """Each code of `errors` with its class."""
        return {code: refusal(name) for name, codes in self.errors.items() for code in codes}

    def serving(self, source: str, model: str, type: str = "") -> tuple[str, Provider]:
        """
        (what its variables are named after, the provider as it is reached) for *model*.

        For one of a service these are the service's: "doubao_speech", say.
        """
        for name, service in self.services.items():
            if service.has(model, type):
                own_keys = bool(service.key_env or service.key_pairs)
                return f"{source}_{name}" if own_keys else source, evolve(
                    self,
                    base_url=service.base_url,
                    base_url_env=service.base_url_env,
                    regions={},
                    key_env=service.key_env if own_keys else self.key_env,
                    key_pairs=service.key_pairs if own_keys else self.key_pairs,
                    key_url=service.key_url or self.key_url,
                )
        return source, self

    def for_model(self, model: str) -> tuple[frozenset[str], Limits, Quirks]:
        """What *model* does, its limits and quirks: the provider's, then each rule's on top."""
        does, limits, quirks = frozenset(self.does), self.limits, self.quirks
        for rule in self.rules:
            if fnmatchcase(model.lower(), rule.match):
                does = (does | frozenset(rule.does)) - frozenset(rule.lacks)
                limits = evolve(limits, **_fields(rule.limits))
                quirks = evolve(quirks, **_fields(rule.quirks))
        return does, limits, quirks

    def pattern_of(self, model: str) -> tuple[str, ModelType | None] | None:
        """(the first pattern that *model* matches, its type; None if that is not offered)."""
        return match_pattern(self.models, model)

    def type_of(self, model: str) -> ModelType | None:
        """The type of the first pattern that *model* matches."""
        found = self.pattern_of(model)
        return found[1] if found else None


def match_pattern(models: Mapping[str, str], model: str) -> tuple[str, ModelType | None] | None:
    """(the first pattern of *models* that *model* matches, its type; None if not offered)."""
    name = model.lower()
    for pattern, type_ in models.items():
        # What stands before the first wildcard rules out nearly all: fnmatch makes a regular
        # expression of each pattern, and 1,000 of those take 150 ms (2026-11).
        if name.startswith(_LITERAL.split(pattern, 1)[0]) and fnmatchcase(name, pattern):
            return pattern, None if type_ == NOT_OFFERED else ModelType.parse(type_)
    return None


@frozen
class Environment:
    """
    `[[<group>.<name>.environments]]`: packages that an engine or a trainer runs on.

    `lock` is a file beside the manifest: exact versions with their hashes, as
    `pip install --require-hashes` reads them. `device` is cpu or cuda, `platforms` are such
    as linux-x86_64 and `python` versions such as 3.12, all where left out; of several that
    fit, the first is taken. `size` is what it takes on disk, in bytes. `loose` are
    requirements with a version and no hash, which `index` has where pip's own do not.
    """

    lock: str
    device: str = "cpu"
    platforms: list[str] = field(factory=list)
    python: list[str] = field(factory=list)
    size: int = 0
    loose: list[str] = field(factory=list)
    index: str = ""


@frozen
class Failure:
    """
    `[[deploy_local.<engine>.failures]]`: why it did not start, told from its log.

    `match` is a regular expression, searched without regard to case; `cause` and `mend` may
    use its named groups in braces.
    """

    match: str
    cause: str
    mend: str


@frozen
class EngineTraits:
    """
    `[deploy_local.<engine>]`: a local engine.

    `formats` (gguf, safetensors, ctranslate2, onnx, diffusers) by preference; `types` that it
    serves; `devices` that it runs on, cpu or cuda; of those that fit, the lowest `rank` is
    taken. `options` of `deploy_method`, beside `python` and `start_timeout` that each has; one
    called `lora` is given the path of an adapter that a tuned model is served as;
    `call_options` beyond the OpenAI wire's own; `does` and `error_rules` as a provider's.
    `module` must be importable in the interpreter that it runs in.
    """

    title: str
    formats: list[str]
    types: list[str] = field(converter=_typed)
    module: str = ""
    devices: list[str] = field(factory=lambda: ["cpu", "cuda"])
    rank: int = 100
    options: list[str] = field(factory=list)
    call_options: list[str] = field(factory=list)
    does: list[str] = field(factory=list)
    limits: Limits = Limits()
    quirks: Quirks = Quirks()
    error_rules: list[ErrorRule] = field(factory=list)
    environments: list[Environment] = field(factory=list)
    failures: list[Failure] = field(factory=list)


@frozen
class TrainerTraits:
    """
    `[finetune.<trainer>]`: a trainer.

    `types` and `methods` (full, lora) that it trains, the first where none is asked for;
    `forms` of data (messages, triples, pairs) that it reads. `settings` maps the common names
    of hyperparameters to its own, and `defaults` to its values; `options` are its own beyond
    those. `module`, `environments`, `rank` and `failures` as an engine's.
    """

    title: str
    types: list[str] = field(converter=_typed)
    methods: list[str]
    forms: list[str] = field(factory=lambda: ["messages", "triples"])
    settings: dict[str, str] = field(factory=dict, validator=_settings)
    defaults: dict[str, Any] = field(factory=dict, validator=_settings)
    options: list[str] = field(factory=list)
    module: str = ""
    rank: int = 100
    environments: list[Environment] = field(factory=list)
    failures: list[Failure] = field(factory=list)


@frozen
class ShippedWeights:
    """`[weights.<name>]`: weights inside a plugin's own package; paths are beside the manifest."""

    type: str
    title: str = ""
    gguf: str = ""
    safetensors: str = ""
    context: int | None = None


TABLES: Mapping[str, type[Any]] = {
    "create_online": Provider,
    "deploy_local": EngineTraits,
    "finetune": TrainerTraits,
    "weights": ShippedWeights,
    "catalogue": ModelFamily,
}
"""The tables of a manifest, named as the entry-point groups; other groups need none."""


@frozen
class Manifest:
    """One modelplug.toml in `folder`, each table still as TOML gave it."""

    module: str
    folder: Path
    tables: Mapping[str, Mapping[str, Any]]

    def patterns(self, source: str) -> dict[str, str]:
        """`[create_online.<source>.models]` as TOML gave it, without reading the rest."""
        models: dict[str, str] = (
            self.tables.get("create_online", {}).get(source, {}).get("models", {})
        )
        return models

    def table(self, group: str, name: str) -> Any:
        """`[group.name]` as its class; BadManifest names the key that is wrong."""
        entries = self.tables.get(group, {})
        if name not in entries:
            msg = f"{self.module}: {FILE_NAME} has no table [{group}.{name}]"
            raise BadManifest(msg)
        where = f"{self.module}: {FILE_NAME}, [{group}.{name}]"
        try:
            return structure_config(entries[name], TABLES[group], where)
        except ConfigError as exc:
            raise BadManifest(str(exc)) from exc


def folder_of(module: str) -> Path | None:
    """The folder of top-level package *module*, editable installs included, not importing it."""
    spec = find_spec(module.partition(".")[0])
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin).parent if spec.origin else None


def read_manifest(module: str) -> Manifest:
    """The manifest beside *module*; BadManifest tells file and key of what is wrong in it."""
    folder = folder_of(module)
    if folder is None:
        msg = f"the package {module!r} of an installed plugin is missing; reinstall the plugin"
        raise BadManifest(msg)
    path = folder / FILE_NAME
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{module} has no {FILE_NAME} beside its module; its author must ship one"
        raise BadManifest(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        msg = f"{module}: {FILE_NAME} is not TOML: {exc}"
        raise BadManifest(msg) from exc
    contract = data.pop("contract", CONTRACT)
    if type(contract) is not int:
        msg = f"{module}: {FILE_NAME}: contract is a whole number, not {contract!r}"
        raise BadManifest(msg)
    if contract > CONTRACT:
        msg = (
            f"{module} needs version {contract} of the plugin contract and this modelplug "
            f"speaks {CONTRACT}; pip install --upgrade modelplug"
        )
        raise BadManifest(msg)
    for table, entries in data.items():
        if not isinstance(entries, dict):
            msg = f"{module}: {FILE_NAME}: [{table}] is no table"
            raise BadManifest(msg)
        if table not in TABLES:
            msg = (
                f"{module}: {FILE_NAME} has an unknown table [{table}]{did_you_mean(table, TABLES)}"
            )
            raise BadManifest(msg)
    return Manifest(module, folder, data)
