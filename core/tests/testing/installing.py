"""Installs plugins for a test: a module and a dist-info folder on a path, as pip leaves them."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

CORE = Path(__file__).parents[2] / "src"


def write_dist_info(site: Path, name: str, entry_points: str) -> Path:
    """The metadata of distribution *name* in the folder *site*."""
    folder = site / f"{name.replace('-', '_')}-0.1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (folder / "entry_points.txt").write_text(entry_points)
    return folder


def run_pytest(tests: Path, site: Iterable[Path]) -> tuple[int, dict[str, set[str]], str]:
    """
    Run *tests* in a fresh interpreter with *site* on its path and warnings as errors.

    Gives the exit status, the names of the tests that failed by class, and the output.
    """
    report = tests.parent / "report.xml"  # beside the tests, so the rootdir is theirs
    path = os.pathsep.join([*map(str, site), str(CORE), *filter(None, sys.path)])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "--tb=short",
            f"--junitxml={report}",
            f"--rootdir={tests.parent}",
            str(tests),
        ],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tests.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, _failed(report), done.stdout + done.stderr


def _failed(report: Path) -> dict[str, set[str]]:
    failed: dict[str, set[str]] = {}
    if not report.exists():
        return failed
    for case in ET.parse(report).getroot().iter("testcase"):
        names = failed.setdefault(case.get("classname", "").rpartition(".")[2], set())
        if case.find("failure") is not None or case.find("error") is not None:
            names.add(case.get("name", "").partition("[")[0])
    return failed
