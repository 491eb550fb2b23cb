"""
Where a value comes from: argument > config map entry > MODELPLUG_* > the vendor's own
variable > LAZYLLM_* > default. Nothing here reads the environment by itself.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from modelplug.errors import MissingKey
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
    to nothing, or to spaces, counts as not set.
    """
    if argument is not None:
        return Setting(argument, f"argument {name}")
    names = [OURS + variable, *vendor, REFERENCE + variable]
    for candidate in names:
        if (value := env.get(candidate, "")).strip():
            return Setting(value, candidate)
    return Setting(default, "default") if default is not None else None


def variable_of(source: str, what: str) -> str:
    """`("siliconflow", "api_key")` → `SILICONFLOW_API_KEY`."""
    return f"{source}_{what}".replace("-", "_").upper()


Keys = str | Secret | Sequence[str | Secret]
"""A key as users give one: itself, `env:NAME`, `file:path`, `cmd:program args`, or several."""


def find_keys(
    source: str,
    vendor: Iterable[str],
    env: Mapping[str, str],
    argument: Keys | None = None,
    pairs: Iterable[Sequence[str]] = (),
) -> tuple[tuple[Secret, ...], str]:
    """
    The keys of provider *source* and what decided them; () and "" where there are none.

    *pairs* of variables make one key, `id:secret`, and come after *vendor*.

    References (`env:`, `file:`, `cmd:`) are followed in the argument alone: a variable is
    read as it is, so that looking which keys are set runs nothing.
    """
    if argument is not None:
        several = [argument] if isinstance(argument, str | Secret) else argument
        keys = tuple(read_key(key, env) for key in several)
        return tuple(key for key in keys if key.reveal()), "argument api_key"
    variable = variable_of(source, "api_key")
    found = resolve("api_key", variable=variable, vendor=vendor, env=env)
    if found is None or found.origin.startswith(REFERENCE):
        for pair in pairs:
            parts = [env.get(name, "").strip() for name in pair]
            if all(parts):
                return (Secret(":".join(parts)),), " and ".join(pair)
    return ((Secret(found.value.strip()),), found.origin) if found else ((), "")


def read_key(key: str | Secret, env: Mapping[str, str]) -> Secret:
    """The key that *key* is or refers to; MissingKey where the reference leads nowhere."""
    if isinstance(key, Secret):
        return key
    kind, colon, rest = key.partition(":")
    if colon and kind == "env":
        if not env.get(rest, "").strip():
            msg = f"api_key='env:{rest}' and {rest} is not set; set it"
            raise MissingKey(msg)
        return Secret(env[rest].strip())
    if colon and kind == "file":
        return _written_in(rest)
    if colon and kind == "cmd":
        return _told_by(rest)
    return Secret(key.strip())


def _written_in(path: str) -> Secret:
    try:
        key = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except OSError as exc:
        msg = f"api_key='file:{path}' cannot be read: {exc.strerror}; check the path"
        raise MissingKey(msg) from exc
    except ValueError:  # not chained: a UnicodeDecodeError holds the whole file
        msg = f"api_key='file:{path}' is no text; check the path"
        raise MissingKey(msg) from None
    if not key:
        msg = f"api_key='file:{path}' is empty; check the path"
        raise MissingKey(msg)
    return Secret(key)


def _told_by(command: str) -> Secret:
    """The first line that a program prints; run without a shell, ten seconds at most."""
    try:
        ran = subprocess.run(  # noqa: S603 - the caller's own command, as a list
            shlex.split(command),
            stdin=subprocess.DEVNULL,  # the caller's own input is not for it
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        )
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as exc:
        # Not the exception itself: its text may hold what the program printed.
        msg = f"the program of api_key='cmd:...' failed ({type(exc).__name__}); run it by hand"
        raise MissingKey(msg) from None
    if not ran.stdout.strip():
        msg = "the program of api_key='cmd:...' printed no key; run it by hand"
        raise MissingKey(msg)
    return Secret(ran.stdout.strip().splitlines()[0])


def key_variables(source: str, vendor: Iterable[str]) -> list[str]:
    """The variables that may hold the key, the most usual first; for messages."""
    return [*vendor, OURS + variable_of(source, "api_key")]
