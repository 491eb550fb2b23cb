"""An engine with packages of its own: wheels, a lock and a plugin, all made in a moment."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import frozen

from modelplug import plugins

MANIFEST = """
[deploy_local.acme]
title = "Acme"
formats = ["gguf"]
types = ["llm"]
module = "acme_core"

[[deploy_local.acme.environments]]
lock = "lock.txt"
"""
ENTRY = "[modelplug.deploy_local]\nacme = modelplug_acme:plugin\n"


def make_wheel(folder: Path, name: str, version: str, source: str = "") -> str:
    """Write a wheel with one module, called as the distribution; answers its SHA-256."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": source or f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@frozen
class Acme:
    """The plugin modelplug-acme, whose engine needs the module acme_core."""

    site: Path
    wheels: Path

    @property
    def package(self) -> Path:
        """Where its manifest and its lock are."""
        return self.site / "modelplug_acme"

    def lock(self, *pins: tuple[str, str], sha256: str | None = None) -> None:
        """Make a wheel for each (name, version), and the list of them."""
        lines = [
            f"{name}=={version} --hash=sha256:{sha256 or digest}\n"
            for name, version in pins
            for digest in [make_wheel(self.wheels, name, version)]
        ]
        (self.package / "lock.txt").write_text("".join(lines))

    def manifest(self, more: str = "", text: str = MANIFEST) -> None:
        """Write the manifest; *more* goes into the environment's table."""
        (self.package / "modelplug.toml").write_text(text + more)
        plugins.forget()


def make_acme(folder: Path, pins: Sequence[tuple[str, str]]) -> Acme:
    """The plugin with *pins* in its lock, under *folder*."""
    acme = Acme(folder / "site", folder / "wheels")
    info = acme.site / "modelplug_acme-1.0.dist-info"
    for path in (acme.package, info):
        path.mkdir(parents=True)
    (acme.package / "__init__.py").write_text("plugin = object()\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: modelplug-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    acme.lock(*pins)
    (acme.package / "modelplug.toml").write_text(MANIFEST)
    return acme


def use(acme: Acme, home: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that it starts, see *acme* and nothing of a network."""
    patch.setattr(sys, "path", [str(acme.site), *sys.path])
    patch.setenv("PYTHONPATH", str(acme.site))
    patch.setenv("MODELPLUG_HOME", str(home))
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(acme.wheels))
    plugins.forget()
