"""
What a config map of 1,000 entries costs the one that is asked for.

    python config1000.py [--count 1000] [--rounds 9]

Writes a config map with 1 and with all entries, as YAML and as TOML, and measures the first
`AutoModel` and later ones, CPU in fresh interpreters that take turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from common import fresh, interleaved, print_table, verdict

LIMIT = 30
"""CPU ms that a thousand entries may add."""

_YAML = """\
model-{at}:
  - id: id-{at}
    source: openai
    name: gpt-5.4-mini
    url: https://gateway-{at}.example/v1
    api_key: env:MODELPLUG_OPENAI_API_KEY
"""

_TOML = """\
[[model-{at}]]
id = "id-{at}"
source = "openai"
name = "gpt-5.4-mini"
url = "https://gateway-{at}.example/v1"
api_key = "env:MODELPLUG_OPENAI_API_KEY"
"""

_FRAME = """
import time
def cpu():
    return time.process_time() * 1000
import modelplug as mp
mp.AutoModel
def use():
    return {use}
start = cpu()
use()
used = cpu()
for _ in range(100):
    use()
print(used - start, (cpu() - used) / 100)
"""

USES = {
    "AutoModel(model)": "mp.AutoModel('model-{last}', config={path!r})",
    "AutoModel(model, config_id)": (
        "mp.AutoModel('model-{last}', config_id='id-{last}', config={path!r})"
    ),
    "AutoModel(config_id)": "mp.AutoModel(config_id='id-{last}', config={path!r})",
    "explain(model)": "mp.explain('model-{last}', config={path!r})",
}


def main() -> None:
    """Measure, and print a table and the limits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    head = ["CPU ms with 1 → with all", "first", "more", "later", "more"]
    rows, limits = [], []
    with tempfile.TemporaryDirectory() as name:
        for suffix, entry in (("yaml", _YAML), ("toml", _TOML)):
            for title, use in USES.items():
                cost = Cost(Path(name), suffix, entry, use, asked.count, asked.rounds)
                rows.append(cost.row(f"{title}, {suffix}"))
                limits.append(
                    f"first {title}, {suffix}: {verdict(cost.more[0], LIMIT, ' ms more')}"
                )
    print_table(f"a config map of {asked.count} entries, one used", head, rows)
    print()
    print("\n".join(limits))


class Cost:
    """One row: (first use, later use), with one entry and with many."""

    def __init__(
        self, folder: Path, suffix: str, entry: str, use: str, count: int, rounds: int
    ) -> None:
        last = count - 1
        jobs = {}
        for label, numbers in (("one", [last]), ("many", range(count))):
            path = folder / f"{label}.{suffix}"
            path.write_text("".join(entry.format(at=at) for at in numbers))
            code = _FRAME.format(use=use.format(last=last, path=str(path)))
            jobs[label] = lambda code=code: _fresh(code)
        interleaved(jobs, 1)  # compiles, and fills the file system's cache
        measured = interleaved(jobs, rounds)
        pairs = list(zip(measured["one"], measured["many"], strict=True))
        self.one = [median(one[at] for one, _ in pairs) for at in range(2)]
        self.many = [median(many[at] for _, many in pairs) for at in range(2)]
        self.more = [median(many[at] - one[at] for one, many in pairs) for at in range(2)]

    def row(self, title: str) -> list[str]:
        """For the table."""
        first, later = zip(self.one, self.many, strict=True)
        return [
            title,
            "{:.0f} → {:.0f}".format(*first),
            f"{self.more[0]:+.0f}",
            "{:.3f} → {:.3f}".format(*later),
            f"{self.more[1]:+.3f}",
        ]


def _fresh(code: str) -> list[float]:
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return fresh(code, env=env | {"MODELPLUG_OPENAI_API_KEY": "k"})


if __name__ == "__main__":
    main()
