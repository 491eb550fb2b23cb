"""Which config map counts: the one that is named, else the first of the usual places."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from modelplug.config.documents import Document
from modelplug.errors import BadConfig, ConfigError
from modelplug.settings import resolve

VARIABLE = "AUTO_MODEL_CONFIG_MAP_PATH"
"""What follows MODELPLUG_ and LAZYLLM_."""

HERE = ("modelplug.yaml", "modelplug.yml", "modelplug.toml")
"""In the working directory, and in the user's folder."""

PYPROJECT, TABLE = "pyproject.toml", ("tool", "modelplug")


@frozen
class Place:
    """A config file and what led to it, in words."""

    document: Document
    origin: str
    named: bool
    """Whether somebody named it, or put it into the user's own folder."""


def user_folder(env: Mapping[str, str]) -> Path:
    """The folder of the user's own config map."""
    if sys.platform == "win32":
        base = env.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    else:
        base = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "modelplug"


def find_config(config: str | bool, env: Mapping[str, str]) -> Place | None:
    """
    The config map: *config* where it is a path; else the variable's; else `./modelplug.yaml`
    or `.toml`; else `[tool.modelplug]` of `./pyproject.toml`; else the user's.

    None where there is none, or *config* is False. ConfigError where one is named and is not
    there, and where a folder has two.
    """
    if config is False:
        return None
    argument = None if config is True else str(config)
    named = resolve("config", argument=argument, variable=VARIABLE, env=env)
    if named is not None:
        path = Path(named.value).expanduser()
        try:
            return Place(_document(path), named.origin, named=True)
        except OSError as exc:
            msg = f"the config map {str(path)!r} ({named.origin}) cannot be read: {exc.strerror}; "
            msg += "check the path"
            raise ConfigError(msg) from exc
    return _here() or _users(env)


def _here() -> Place | None:
    if (path := _the_one_in(Path())) is not None:
        return Place(_read(path), "the working directory", named=False)
    pyproject = Path(PYPROJECT)
    if pyproject.is_file() and b"modelplug" in pyproject.read_bytes():
        document = _read(pyproject)
        if document.names():
            return Place(document, "the working directory", named=False)
    return None


def _users(env: Mapping[str, str]) -> Place | None:
    path = _the_one_in(user_folder(env))
    return None if path is None else Place(_read(path), "the user's folder", named=True)


def _the_one_in(folder: Path) -> Path | None:
    found = [path for name in HERE if (path := folder / name).is_file()]
    if len(found) > 1:
        msg = f"{' and '.join(map(str, found))} are both there; keep one, or name it with config="
        raise ConfigError(msg)
    return found[0] if found else None


def _read(path: Path) -> Document:
    try:
        return _document(path)
    except OSError as exc:
        msg = f"the config map {str(path)!r} cannot be read: {exc.strerror}; check who may read it"
        raise ConfigError(msg) from exc


_KEPT: dict[tuple[str, int, int], Document] = {}
_KEPT_AT_MOST = 16
_keeping = threading.Lock()


def _document(path: Path) -> Document:
    """The file as it is now; parsed once as long as it does not change."""
    state = path.stat()
    key = (os.path.abspath(path), state.st_mtime_ns, state.st_size)
    with _keeping:
        kept = _KEPT.get(key)
    if kept is not None:
        return kept
    document = open_document(path)
    with _keeping:
        while len(_KEPT) >= _KEPT_AT_MOST:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = document
    return document


def open_document(path: Path) -> Document:
    """The file at *path*, unparsed; OSError, or BadConfig where it is no text."""
    data = path.read_bytes()
    under = TABLE if path.name == PYPROJECT else ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        msg = f"{path}, line {line}: this is no text in UTF-8; save it as such"
        # Not chained: the exception holds the whole file, keys and all.
        raise BadConfig(msg, path=str(path), line=line, field="(the file)") from None
    return Document(path, str(path), text.replace("\r\n", "\n"), under)
