"""
What starting costs: imports, constructors and the first call, each in fresh interpreters.

    python startup.py [--rounds 15]

CPU is of the work alone, without the interpreter's own start. The cases take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
from statistics import median

from common import fresh, interleaved, print_table, running_server, verdict

HEAVY = ("httpx", "httpcore", "cattrs", "yaml", "modelplug_openai")
"""What `import modelplug` must not load."""

_FRAME = """
import sys, time
before = set(sys.modules)
began = time.process_time()
{code}
cpu = time.process_time() - began
new = set(sys.modules) - before
print(cpu * 1000, len(new), *(int(name in sys.modules) for name in {heavy!r}))
"""

_OURS = "m = modelplug.OnlineModule('m', source='openai', type='llm', url='{url}/v1', api_key='k')"
_MESSAGES = "[dict(role='user', content='Hi')]"

_CASES = (
    ("import modelplug", "import modelplug"),
    ("  and its public classes", "from modelplug import AutoModel, OnlineModule, explain"),
    ("  and an OnlineModule", f"import modelplug; {_OURS}"),
    ("  and its first call", f"import modelplug; {_OURS}; m('Hi')"),
    ("import httpx", "import httpx"),
    ("  and a Client", "import httpx; c = httpx.Client()"),
    (
        "  and its first call",
        "import httpx; c = httpx.Client(); c.post('{url}/v1/chat/completions', "
        f"json=dict(model='m', messages={_MESSAGES})).json()",
    ),
)
_OPENAI = (
    ("import openai", "import openai"),
    ("  and an OpenAI", "import openai; c = openai.OpenAI(base_url='{url}/v1', api_key='k')"),
    (
        "  and its first call",
        "import openai; c = openai.OpenAI(base_url='{url}/v1', api_key='k'); "
        f"c.chat.completions.create(model='m', messages={_MESSAGES})",
    ),
)


class Case:
    """One row of the table; call it to measure once."""

    def __init__(self, title: str, code: str) -> None:
        self.title = title
        self._code = _FRAME.format(code=code, heavy=HEAVY)
        self.modules = 0
        self.loaded: list[str] = []

    def __call__(self) -> float:
        """CPU in ms."""
        cpu, modules, *flags = fresh(self._code)
        self.modules = int(modules)
        self.loaded = [name for name, flag in zip(HEAVY, flags, strict=True) if flag]
        return cpu

    def row(self, cpu: list[float]) -> list[str]:
        """For the table."""
        flags = ["loaded" if name in self.loaded else "-" for name in HEAVY]
        spread = f"{min(cpu):.0f}-{max(cpu):.0f}"
        return [self.title, f"{median(cpu):.1f}", spread, f"{self.modules}", *flags]


def cases(url: str) -> list[Case]:
    """What is installed, in the order of the table."""
    found = _CASES + (_OPENAI if importlib.util.find_spec("openai") else ())
    return [Case(title, code.format(url=url)) for title, code in found]


def main() -> None:
    """Measure, and print a table and the limits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with running_server() as url:
        found = cases(url)
        for case in found:  # compiles what is not compiled yet
            case()
        measured = interleaved(dict(enumerate(found)), rounds)
    rows = [case.row(measured[at]) for at, case in enumerate(found)]
    head = ["", "CPU ms", "from-to", "modules", *HEAVY]
    print_table("what starting costs, fresh interpreters", head, rows)
    ours = found[0]
    print(f"\nimport modelplug: {verdict(median(measured[0]), 60, ' ms')}")
    print(f"import modelplug: {verdict(ours.modules, 250, ' modules')}")
    print(f"import modelplug loads of what it must not: {', '.join(ours.loaded) or 'nothing'}")


if __name__ == "__main__":
    main()
