"""
What 500 installed plugins cost the one that is used.

    python plugins500.py [--count 500] [--rounds 9]

Writes dummy provider distributions (dist-info, module, modelplug.toml) into a temporary
folder on PYTHONPATH, and measures with 1 and with all of them: importing modelplug, a first
use, and later uses, CPU in fresh interpreters that take turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from common import fresh, interleaved, print_table, verdict

USED = 7
"""The dummy that is used, and the only one where there is one."""

_MANIFEST = """\
[create_online.dummy{at}]
title = "Dummy {at}"
base-url = "https://dummy{at}.example/v1"
key-env = ["DUMMY{at}_API_KEY"]
key-url = "https://dummy{at}.example/keys"
does = ["stream", "tools", "json-object"]

[create_online.dummy{at}.types]
llm = "dummy{at}-chat"
embed = "dummy{at}-embed"

[create_online.dummy{at}.models]
"dummy{at}-embed*" = "embed"
"dummy{at}-*" = "llm"

[create_online.dummy{at}.limits]
embed-batch = 64
"""

_MODULE = """\
\"\"\"Dummy {at}.\"\"\"

from modelplug.openai_wire import OpenAICompatible

plugin = OpenAICompatible()
"""

_FRAME = """
import time
def cpu():
    return time.process_time() * 1000
start = cpu()
import modelplug as mp
mp.OnlineModule, mp.AutoModel, mp.explain
imported = cpu()
def use():
    return {use}
use()
used = cpu()
for _ in range(100):
    use()
print(imported - start, used - imported, (cpu() - used) / 100)
"""

USES = {
    "OnlineModule(a model its patterns know)": (
        "mp.OnlineModule('dummy7-large', source='dummy7', api_key='k')"
    ),
    "OnlineModule(a model nobody knows)": "mp.OnlineModule('x', source='dummy7', api_key='k')",
    "OnlineModule(..., type='llm')": (
        "mp.OnlineModule('x', source='dummy7', type='llm', api_key='k')"
    ),
    "explain(source='dummy7')": "mp.explain('dummy7-large', source='dummy7')",
    "explain(no source)": "mp.explain('dummy7-large')",
}


def install(folder: Path, numbers: range | list[int]) -> None:
    """Write the dummies as an installer would."""
    for at in numbers:
        package = folder / f"modelplug_dummy{at}"
        package.mkdir()
        (package / "__init__.py").write_text(_MODULE.format(at=at))
        (package / "modelplug.toml").write_text(_MANIFEST.format(at=at))
        info = folder / f"modelplug_dummy{at}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: modelplug-dummy{at}\nVersion: 0.1.0\n"
        )
        (info / "entry_points.txt").write_text(
            f"[modelplug.create_online]\ndummy{at} = modelplug_dummy{at}:plugin\n"
        )
        (info / "RECORD").write_text(f"modelplug_dummy{at}/__init__.py,,\n")


def main() -> None:
    """Measure, and print a table and the limits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        one, many = Path(name, "one"), Path(name, "many")
        for folder, numbers in ((one, [USED]), (many, range(asked.count))):
            folder.mkdir()
            install(folder, numbers)
        found = {title: Use(use, one, many, asked.rounds) for title, use in USES.items()}
    head = ["CPU ms with 1 → with all", "import", "first use", "more", "later use", "more"]
    rows = [use.row(title) for title, use in found.items()]
    print_table(f"{asked.count} plugins installed, one used", head, rows)
    print()
    for title, use in found.items():
        print(f"first use, {title}: {verdict(use.more[1], 150, ' ms more')}")


class Use:
    """One row: (import, first use, later use), with one plugin and with many."""

    def __init__(self, use: str, one: Path, many: Path, rounds: int) -> None:
        code = _FRAME.format(use=use)
        jobs = {"one": lambda: _fresh(code, one), "many": lambda: _fresh(code, many)}
        interleaved(jobs, 1)  # compiles, and fills the file system's cache
        measured = interleaved(jobs, rounds)
        pairs = list(zip(measured["one"], measured["many"], strict=True))
        self.one = [median(one[at] for one, _ in pairs) for at in range(3)]
        self.many = [median(many[at] for _, many in pairs) for at in range(3)]
        self.more = [median(many[at] - one[at] for one, many in pairs) for at in range(3)]

    def row(self, title: str) -> list[str]:
        """For the table."""
        imported, first, later = zip(self.one, self.many, strict=True)
        return [
            title,
            "{:.0f} → {:.0f}".format(*imported),
            "{:.0f} → {:.0f}".format(*first),
            f"{self.more[1]:+.0f}",
            "{:.3f} → {:.3f}".format(*later),
            f"{self.more[2]:+.3f}",
        ]


def _fresh(code: str, folder: Path) -> list[float]:
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return fresh(code, env=env | {"PYTHONPATH": str(folder), f"DUMMY{USED}_API_KEY": "k"})


if __name__ == "__main__":
    main()
