"""What `AutoModel` would make, and why: as a tree for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from attrs import frozen

_MARKS = {"chosen": "✓", "possible": "·", "no": "✗"}
_NAMES_AT_MOST = 12


@frozen
class Candidate:
    """
    One place that was considered: `verdict` is chosen, possible or no. `parts` are what it
    was chosen from in its turn, such as the entries of a config map.
    """

    name: str
    verdict: str
    why: str
    parts: tuple[Candidate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        told: dict[str, Any] = {"name": self.name, "verdict": self.verdict, "why": self.why}
        return told | ({"parts": [part.to_dict() for part in self.parts]} if self.parts else {})


@frozen
class Choice:
    """
    What `AutoModel` would make, and why. `kind` is online, local, dynamic or none.

    `settings` are (name, value, what decided it); a key's value is `***`. `steps` are what
    would be done at the first call: (downloads, starts or calls, what).
    """

    kind: str
    model: str
    type: str
    source: str
    candidates: tuple[Candidate, ...]
    settings: tuple[tuple[str, str, str], ...] = ()
    steps: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for programs."""
        return {
            "kind": self.kind,
            "model": self.model,
            "type": self.type,
            "source": self.source,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "settings": [
                {"name": name, "value": value, "from": origin}
                for name, value, origin in self.settings
            ],
            "steps": [{"step": step, "what": what} for step, what in self.steps],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        what = self.model or "(default model)"
        kind = f" ({self.type})" if self.type else ""
        if self.kind == "none":
            yield f"{what} cannot be placed"
        else:
            yield f"{what} → {self.kind}, {self.source}{kind}"
        yield from _tree(self.candidates, "  ")
        width = max((len(name) for name, _, _ in self.settings), default=0)
        for name, value, origin in self.settings:
            yield f"  {name.ljust(width)} = {value}  ({origin})"
        for step, told in self.steps:
            yield f"  → {step} {told}"


def _tree(candidates: Sequence[Candidate], indent: str) -> Iterator[str]:
    # Those that lost for one reason are told in one line: hundreds may be installed.
    for (verdict, why, parts), same in groupby(candidates, lambda c: (c.verdict, c.why, c.parts)):
        names = [candidate.name for candidate in same]
        more = len(names) - _NAMES_AT_MOST
        shown = ", ".join(names[:_NAMES_AT_MOST]) + (f" and {more} more" if more > 0 else "")
        yield f"{indent}{_MARKS[verdict]} {shown}: {why}"
        yield from _tree(parts, indent + "  ")
