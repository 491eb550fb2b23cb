"""
Write the locked lists of packages that engines and trainers run on.

    python tools/lock.py plugins/vllm        each list that plugins/vllm/locks.toml asks for

A list is a requirements file with the hash of every wheel that one of its platforms can use,
as `modelplug engine install` takes it. Needs `uv` (it resolves for all platforms at once) and
`packaging`; resolves from PyPI alone, whatever pip is set up with.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

HEAD = """\
# Locked {date} by tools/lock.py from {source}, [{name}]: {requires}.
# For {platforms}; Python {pythons}.
"""


def pyproject(table: dict[str, Any]) -> str:
    """A project of which uv reads what to resolve, and for where."""
    fits = " or ".join(f"python_full_version == '{python}.*'" for python in table["python"])
    environments = [f"{_platform(each)} and ({fits})" for each in table["platforms"]]
    overrides = [f"{name}; sys_platform == 'never'" for name in table.get("leave-out", [])]
    loose = table.get("loose", {})
    overrides += [f"{name}=={each['version']}" for name, each in loose.items()]
    lines = [
        "[project]",
        'name = "locked"',
        'version = "0"',
        f'requires-python = ">={table["python"][0]}"',
        f"dependencies = {table['requires']}",
        "[tool.uv]",
        f"environments = {environments}",
        f"override-dependencies = {overrides}",
    ]
    for name, each in loose.items():
        lines += [
            "[[tool.uv.dependency-metadata]]",
            f'name = "{name}"',
            f'version = "{each["version"]}"',
            f"requires-dist = {each['requires']}",
        ]
    return "\n".join(lines) + "\n"


def _platform(name: str) -> str:
    system, _, machine = name.partition("-")
    return f"sys_platform == '{system}' and platform_machine == '{machine}'"


def resolve(table: dict[str, Any]) -> dict[str, Any]:
    """uv's answer, a pylock (PEP 751)."""
    with tempfile.TemporaryDirectory() as folder:
        project, out = Path(folder, "pyproject.toml"), Path(folder, "pylock.toml")
        project.write_text(pyproject(table), encoding="utf-8")
        left_out = [f"--no-emit-package={name}" for name in table.get("loose", {})]
        command = ["uv", "pip", "compile", "--universal", "--only-binary=:all:", "--quiet"]
        command += ["--system-certs", "--format=pylock.toml", *left_out, "-o", str(out)]
        # In its folder: uv reads [tool.uv] where it runs, and nowhere else (0.13).
        subprocess.run([*command, project.name], cwd=folder, check=True)  # noqa: S603
        return tomllib.loads(out.read_text(encoding="utf-8"))


def lines(table: dict[str, Any], locked: dict[str, Any]) -> Iterator[str]:
    """The requirements, each with its hashes, sorted."""
    where = list(_environments(table))
    for package in sorted(locked["packages"], key=lambda each: (each["name"], each["version"])):
        marker = Marker(package["marker"]) if "marker" in package else None
        fits = [each for each in where if marker is None or marker.evaluate(each)]
        if not fits:
            continue
        hashes = sorted(
            wheel["hashes"]["sha256"]
            for wheel in package["wheels"]
            if any(_usable(_file_name(wheel), each) for each in fits)
        )
        if not hashes:
            msg = f"{package['name']} {package['version']} has no wheel for {fits}"
            raise ValueError(msg)
        condition = "" if len(fits) == len(where) else f" ; {_condition(where, fits)}"
        pinned = f"{package['name']}=={package['version']}{condition}"
        yield " \\\n    ".join([pinned, *(f"--hash=sha256:{each}" for each in hashes)]) + "\n"


def _environments(table: dict[str, Any]) -> Iterator[dict[str, str]]:
    for platform in table["platforms"]:
        system, _, machine = platform.partition("-")
        for python in table["python"]:
            yield {
                "sys_platform": system,
                "platform_system": system.title(),
                "platform_machine": machine,
                "python_version": python,
                "python_full_version": f"{python}.0",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
            }


def _condition(where: list[dict[str, str]], fits: list[dict[str, str]]) -> str:
    """A marker that tells *fits* from the rest of *where*."""
    for key in ("python_version", "platform_machine", "sys_platform"):
        values = {each[key] for each in fits}
        if [each for each in where if each[key] in values] == fits:
            return " or ".join(f"{key} == '{value}'" for value in sorted(values))
    keys = ("python_version", "platform_machine", "sys_platform")
    return " or ".join(
        "(" + " and ".join(f"{key} == '{each[key]}'" for key in keys) + ")" for each in fits
    )


def _file_name(wheel: dict[str, Any]) -> str:
    return str(wheel.get("name") or wheel["url"].rsplit("/", 1)[1])


def _usable(file_name: str, where: dict[str, str]) -> bool:
    """Whether glibc's or Apple's Python of *where* could take the wheel."""
    minor = int(where["python_version"].partition(".")[2])
    system = {"linux": "manylinux", "darwin": "macosx"}[where["sys_platform"]]
    for tag in parse_wheel_filename(file_name.replace("%2B", "+"))[3]:
        made_for = re.fullmatch(r"(?:cp|py)3(\d*)", tag.interpreter)
        here = tag.platform == "any" or (
            tag.platform.startswith(system)
            and tag.platform.endswith((where["platform_machine"], "universal2"))
        )
        if here and made_for and int(made_for[1] or 0) <= minor:
            same = tag.interpreter == f"cp3{minor}" and tag.abi == f"cp3{minor}"
            if same or tag.abi in ("abi3", "none"):
                return True
    return False


def main() -> None:
    """See the module."""
    for given in sys.argv[1:]:
        source = Path(given) / "locks.toml"
        (module,) = (Path(given) / "src").glob("modelplug_*")
        for name, table in tomllib.loads(source.read_text(encoding="utf-8")).items():
            locked = resolve(table)
            head = HEAD.format(
                date=table["date"],
                source=source.name,
                name=name,
                requires=", ".join(table["requires"]),
                platforms=" and ".join(table["platforms"]),
                pythons=", ".join(table["python"]),
            )
            out = module / "locks" / f"{name}.txt"
            out.parent.mkdir(exist_ok=True)
            out.write_text(head + "".join(lines(table, locked)), encoding="utf-8")
            print(out)


if __name__ == "__main__":
    main()
