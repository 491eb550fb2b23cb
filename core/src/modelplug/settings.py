"""
Where a value comes from: argument > config map entry > MODELPLUG_* > the vendor's own
variable > LAZYLLM_* > default. Nothing here reads the environment by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from modelplug.types import Secret

OURS = "MODELPLUG_"
REFERENCE = "LAZYLLM_"


@frozen
class Setting:
    """A value and what decided it, in words: `argument url`, `OPENAI_API_KEY`, `default`."""

    value: str = field(repr=False)
    origin: str


def resolve(
    name: str,
    *,
    argument: str | None = None,
    variable: str = "",
    vendor: Iterable[str] = (),
    env: Mapping[str, str],
    default: str | None = None,
) -> Setting | None:
    """
    The first of the places that has a value; None where none has.

    *name* is the argument's name; *variable* what follows MODELPLUG_ and LAZYLLM_; *vendor*
    the vendor's own variables in the order that its manifest gives. A variable that is set
    to nothing counts as not set.
    """
    if argument is not None:
        return Setting(argument, f"argument {name}")
    names = [OURS + variable, *vendor, REFERENCE + variable]
    for candidate in names:
        if value := env.get(candidate):
            return Setting(value, candidate)
    return Setting(default, "default") if default is not None else None


def variable_of(source: str, what: str) -> str:
    """`("siliconflow", "api_key")` → `SILICONFLOW_API_KEY`."""
    return f"{source}_{what}".replace("-", "_").upper()


def find_key(
    source: str,
    vendor: Iterable[str],
    env: Mapping[str, str],
    argument: str | Secret | None = None,
) -> tuple[Secret, str] | None:
    """The key of provider *source* and what decided it, or None."""
    if isinstance(argument, Secret):
        return argument, "argument api_key"
    found = resolve(
        "api_key",
        argument=argument,
        variable=variable_of(source, "api_key"),
        vendor=vendor,
        env=env,
    )
    return (Secret(found.value.strip()), found.origin) if found else None


def key_variables(source: str, vendor: Iterable[str]) -> list[str]:
    """The variables that may hold the key, the most usual first; for messages."""
    return [*vendor, OURS + variable_of(source, "api_key")]
