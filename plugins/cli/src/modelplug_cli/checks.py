"""What `modelplug doctor` looks at. Each check answers; none raises or shows a key."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

if TYPE_CHECKING:
    from modelplug.catalog import Provider, Service
    from modelplug.plugins import Plugins

GB = 1024**3
HUB_PATIENCE = 3.0
"""Seconds for a connection to a hub."""
LITTLE_DISK, LITTLE_MEMORY = 5 * GB, 2 * GB
"""Below these a note is made: the weights of a model of 7e9 parameters at 4 bits take 4.5 GB."""


@frozen
class Check:
    """
    One finding. `state` is ok; note, which need not be mended; or broken. `mend` is what to
    do about it.
    """

    area: str
    name: str
    state: str
    found: str
    mend: str = ""


def all_checks(env: Mapping[str, str]) -> Iterator[Check]:
    """Every check, in the order in which a reader wants them."""
    from modelplug.plugins import installed

    yield python()
    yield from plugin_states()
    yield from keys(installed(), env)
    yield config_map(env)
    yield from engines(installed())
    yield from proxies()
    yield loopback()
    if "local" in installed().names("runtime"):
        yield hub(env)
    yield disk(env)
    yield memory()
    yield gpu()


def python() -> Check:
    """The interpreter, where it is, and modelplug's version."""
    import modelplug

    where = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    found = (
        f"{platform.python_version()}, {sys.executable} ({where}); "
        f"modelplug {modelplug.__version__}"
    )
    return Check("python", "version", "ok", found)


def plugin_states() -> Iterator[Check]:
    """Each plugin, imported."""
    from modelplug_cli.listing import list_plugins

    rows = list_plugins(check=True)
    if not rows:
        mend = "pip install modelplug-openai, or modelplug-tiny for one that needs no network"
        yield Check("plugin", "any", "broken", "no plugin is installed", mend)
    for row in rows:
        origin = f"{row.distribution} {row.version}"
        name = f"{row.group} {row.name}"
        if row.state == "ok":
            yield Check("plugin", name, "ok", origin)
        elif row.state == "blocked":
            yield Check("plugin", name, "note", origin, "MODELPLUG_BLOCK hides it; unset that")
        else:
            problem, _, mend = row.why.partition("; ")
            mend = mend or f"upgrade or uninstall {row.distribution}"
            yield Check("plugin", name, "broken", problem, mend)


def keys(plugins: Plugins, env: Mapping[str, str]) -> Iterator[Check]:
    """Whether each provider has a key, and whether it looks mangled; never the key."""
    from modelplug.errors import ModelplugError

    for source in plugins.names("create_online"):
        try:
            provider = plugins.provider(source)
        except ModelplugError:
            continue  # told among the plugins
        yield _key(source, provider, env)
        for name, service in provider.services.items():
            if service.key_env or service.key_pairs:
                yield _key(f"{source}_{name}", service, env)


def _key(account: str, told: Provider | Service, env: Mapping[str, str]) -> Check:
    """The key of a provider, or of one of its services that has keys of its own."""
    from modelplug.settings import find_keys

    found, origin = find_keys(account, told.key_env, env, pairs=told.key_pairs)
    flaws = [flaw for key in found if (flaw := _flaw(key.reveal()))]
    if not found:
        return _no_key(account, told)
    if flaws:
        return Check("key", account, "broken", f"{origin} is set and {flaws[0]}", f"mend {origin}")
    return Check("key", account, "ok", f"{origin} is set")


def _no_key(account: str, told: Provider | Service) -> Check:
    from modelplug.settings import key_variables

    where = f" (get one at {told.key_url})" if told.key_url else ""
    pairs = [" and ".join(pair) for pair in told.key_pairs]
    mend = f"set {' or '.join([*key_variables(account, told.key_env), *pairs])}{where}"
    return Check("key", account, "note", "not set", mend)


def config_map(env: Mapping[str, str]) -> Check:
    """The config map that AutoModel reads, every entry of it."""
    from modelplug.config import load_config
    from modelplug.errors import ConfigError

    try:
        found = load_config(True, env)
    except ConfigError as exc:
        problem, _, mend = str(exc).rpartition("; ")
        return Check("config", "map", "broken", problem, mend)
    if found is None:
        return Check("config", "map", "ok", "none, and none is needed")
    where = f"{found.document.shown} ({found.place.origin})"
    if faults := found.faults():
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        problem, _, mend = str(faults[0]).rpartition("; ")
        return Check("config", "map", "broken", f"{where}: {problem}{more}", mend)
    return Check("config", "map", "ok", f"{where}, {len(found.models)} models")


def _flaw(key: str) -> str:
    if key[:1] in "\"'":
        return "begins with a quote"
    if key.startswith(("env:", "file:", "cmd:")):
        return "holds a reference, which is followed in the argument api_key= alone"
    if any(character.isspace() for character in key):
        return "has a space or line break inside"
    if not key.isascii() or not key.isprintable():
        return "has characters that no HTTP header can carry"
    return ""


def engines(plugins: Plugins) -> Iterator[Check]:
    """What local models need: the runtime, an engine, and perhaps weights."""
    names = plugins.names("deploy_local")
    has_runtime = "local" in plugins.names("runtime")
    if not names:
        mend = "pip install modelplug-llama-cpp, if you want models on this machine"
        yield Check("local", "engines", "note", "none is installed", mend)
    elif not has_runtime:
        found = f"{', '.join(names)}, and nothing that runs them"
        yield Check("local", "engines", "broken", found, "pip install modelplug-local")
    else:
        yield from (_engine(plugins, name) for name in names)
    if weights := plugins.names("weights"):
        yield Check("local", "weights", "ok", f"shipped with plugins: {', '.join(weights)}")


def _engine(plugins: Plugins, name: str) -> Check:
    """The interpreter that an engine runs in."""
    from modelplug.errors import ModelplugError

    try:
        python = plugins.runtime().interpreter(name, plugins.engine(name))
    except ModelplugError as exc:
        problem, _, mend = str(exc).rpartition("; ")
        return Check("local", f"engine {name}", "note", problem or mend, mend if problem else "")
    return Check("local", f"engine {name}", "ok", f"runs in {python}")


HUBS = {
    "modelscope": ("MODELSCOPE_ENDPOINT", "https://modelscope.cn"),
    "huggingface": ("HF_ENDPOINT", "https://huggingface.co"),
}
"""The variable that moves a hub, and where it is otherwise."""


def hub(env: Mapping[str, str]) -> Check:
    """Whether a connection to the hub that weights come from can be opened; nothing is sent."""
    from urllib.request import getproxies

    from modelplug.settings import resolve

    setting = resolve("source", variable="MODEL_SOURCE", env=env, default="modelscope")
    name = setting.value if setting else "modelscope"
    variable, usual = HUBS.get(name, ("", ""))
    url = urlsplit(env.get(variable) or usual)
    if env.get("MODELPLUG_OFFLINE", "").strip() or not url.hostname:
        return Check("network", "hub", "ok", f"{name}: not asked")
    proxy = urlsplit(getproxies().get(url.scheme, ""))
    there = proxy if proxy.hostname else url
    port = there.port or (80 if there.scheme == "http" else 443)
    through = f" through the proxy {proxy.hostname}" if proxy.hostname else ""
    try:
        socket.create_connection((str(there.hostname), port), timeout=HUB_PATIENCE).close()
    except OSError as exc:
        mend = f"open the way to it, set {variable} to a mirror, or use weights that are here"
        found = f"{name}: {url.hostname}{through} cannot be reached: {exc}"
        return Check("network", "hub", "note", found, mend)
    return Check("network", "hub", "ok", f"{name}: {url.hostname}{through} can be reached")


def proxies() -> Iterator[Check]:
    """Proxies, and whether other programs would send loopback traffic through them."""
    from urllib.request import getproxies, proxy_bypass

    told = ", ".join(
        f"{scheme} through {_without_user(url)}"
        for scheme, url in getproxies().items()
        if scheme != "no"
    )
    caught = [host for host in ("localhost", "127.0.0.1") if not proxy_bypass(host)]
    if not told:
        yield Check("network", "proxies", "ok", "none")
    elif not caught:
        yield Check("network", "proxies", "ok", f"{told}; loopback goes directly")
    else:
        # A note: modelplug itself never sends loopback traffic through a proxy.
        found = f"{told}; other programs would send {' and '.join(caught)} there too"
        yield Check("network", "proxies", "note", found, "add localhost,127.0.0.1 to NO_PROXY")


def _without_user(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def loopback() -> Check:
    """Whether a local engine could listen on 127.0.0.1 and be reached there."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=5.0),
        ):
            pass
    except OSError as exc:
        found = f"no port of 127.0.0.1 can be served and reached: {exc}"
        return Check("network", "loopback", "broken", found, "let this user open loopback ports")
    return Check("network", "loopback", "ok", "ports of 127.0.0.1 can be served and reached")


def disk(env: Mapping[str, str]) -> Check:
    """Room for weights in the cache."""
    from modelplug.settings import resolve

    setting = resolve(
        "model_cache_dir", variable="MODEL_CACHE_DIR", env=env, default="~/.modelplug/models"
    )
    folder = Path(setting.value if setting else "").expanduser()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        mend = "set MODELPLUG_MODEL_CACHE_DIR to a folder that can be written"
        return Check("machine", "disk", "broken", f"{there} cannot be written", mend)
    free = shutil.disk_usage(there).free
    found = f"{free / GB:.1f} GB free for weights in {folder}"
    if free < LITTLE_DISK:
        mend = "free some, or set MODELPLUG_MODEL_CACHE_DIR to a folder on another disk"
        return Check("machine", "disk", "note", found, mend)
    return Check("machine", "disk", "ok", found)


def memory() -> Check:
    """Main memory, as the kernel and the container's limit let this process have it."""
    free = _free_memory()
    if free is None:
        return Check("machine", "memory", "ok", "not told by this system")
    found = f"{free / GB:.1f} GB free, {os.cpu_count()} CPUs"
    if free < LITTLE_MEMORY:
        mend = "choose small local models, or end other programs"
        return Check("machine", "memory", "note", found, mend)
    return Check("machine", "memory", "ok", found)


def _free_memory() -> int | None:
    readings = [
        reading
        for read in (_available, _left_in_cgroup, _physical)
        if (reading := _tried(read)) is not None
    ]
    return min(readings, default=None)


def _tried(read: Callable[[], int | None]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, AttributeError):
        return None  # each system tells this in its own way, or not at all


def _available() -> int | None:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def _left_in_cgroup() -> int | None:
    folder = Path("/sys/fs/cgroup")
    limit = (folder / "memory.max").read_text(encoding="ascii").strip()
    used = (folder / "memory.current").read_text(encoding="ascii").strip()
    return None if limit == "max" else int(limit) - int(used)


def _physical() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpu() -> Check:
    """What nvidia-smi tells, where it is installed."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("machine", "gpu", "ok", "no nvidia-smi; local models run on the CPU")
    query = "--query-gpu=name,memory.total,memory.free,driver_version"
    try:
        told = subprocess.run(  # noqa: S603 - a fixed list of arguments, no shell
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20.0,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return _gpu_trouble(str(exc))
    if told.returncode != 0:
        return _gpu_trouble((told.stdout or told.stderr).strip())
    return Check("machine", "gpu", "ok", "; ".join(map(_gpu, told.stdout.splitlines())))


def _gpu(line: str) -> str:
    name, total, free, driver = (field.strip() for field in line.split(","))
    return f"{name}, {free} of {total} free, driver {driver}"


def _gpu_trouble(said: str) -> Check:
    found = f"nvidia-smi fails: {' '.join(said.split()) or 'it says nothing'}"
    return Check("machine", "gpu", "note", found, "mend the driver, or do without the GPU")
