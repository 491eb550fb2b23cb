"""
The hubs that weights come from, and how each is set up: where it is, with which token, or not
at all. Their clients are asked in fetcher.py, in a process of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from modelplug.errors import ConfigError, did_you_mean
from modelplug.settings import Setting, resolve
from modelplug.types import Secret

DEFAULT = "modelscope"

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""`org/name`; neither part begins with a dot, so that none can lead out of a folder."""

_YES = frozenset(("1", "on", "yes", "true"))


@frozen
class Hub:
    """
    A hub and its client.

    `distribution` is what to install for it; `package` what it is imported as. The variables
    are the client's own, in the order in which they count.
    """

    name: str
    distribution: str
    package: str
    page: str
    endpoint_env: Sequence[str]
    token_env: Sequence[str]
    offline_env: Sequence[str]


HUBS: Mapping[str, Hub] = {
    hub.name: hub
    for hub in (
        Hub(
            "modelscope",
            "modelscope-hub",
            "modelscope_hub",
            "https://modelscope.cn/models/{}",
            # Not MODELSCOPE_DOMAIN: its client calls it deprecated, and reads it by itself.
            ("MODELSCOPE_ENDPOINT",),
            ("MODELSCOPE_API_TOKEN",),
            (),
        ),
        Hub(
            "huggingface",
            "huggingface_hub",
            "huggingface_hub",
            "https://huggingface.co/{}",
            ("HF_ENDPOINT",),
            ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
            ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
        ),
    )
}


@frozen
class Access:
    """
    How a hub is reached; `endpoint` and `token` None where its client decides by itself.

    `offline` names the variable that forbids to ask it, or is empty.
    """

    hub: Hub
    origin: str
    endpoint: str | None = None
    token: Secret | None = None
    offline: str = ""


def access(source: str | None, env: Mapping[str, str]) -> Access:
    """
    The hub *source*, else the one that MODELPLUG_MODEL_SOURCE names, else modelscope.

    ConfigError for one that is unknown.
    """
    chosen = resolve("source", argument=source, variable="MODEL_SOURCE", env=env, default=DEFAULT)
    assert chosen is not None  # there is a default
    hub = HUBS.get(chosen.value.strip().lower())
    if hub is None:
        msg = (
            f"{chosen.value!r} is no hub ({chosen.origin}; there are {' and '.join(HUBS)})"
            f"{did_you_mean(chosen.value, HUBS)}"
        )
        raise ConfigError(msg)
    endpoint = _setting(hub, "endpoint", hub.endpoint_env, env)
    token = _setting(hub, "token", hub.token_env, env)
    return Access(
        hub,
        chosen.origin,
        endpoint.value.strip().rstrip("/") if endpoint else None,
        Secret(token.value.strip()) if token else None,
        _offline(hub, env),
    )


def _setting(hub: Hub, what: str, vendor: Sequence[str], env: Mapping[str, str]) -> Setting | None:
    return resolve(what, variable=f"{hub.name}_{what}".upper(), vendor=vendor, env=env)


def _offline(hub: Hub, env: Mapping[str, str]) -> str:
    names = ("MODELPLUG_OFFLINE", *hub.offline_env, "LAZYLLM_OFFLINE")
    return next((name for name in names if env.get(name, "").strip().lower() in _YES), "")
