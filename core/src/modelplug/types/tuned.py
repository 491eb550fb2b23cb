"""What a fine-tuning leaves: a published version, and the proofs that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from modelplug.types.endpoint import ModelType


@frozen
class Tuned:
    """
    A published version of a tuned model, under `path`.

    `metrics` were measured through the served endpoints: `base` and `tuned`, each name to
    number. `manifest` is what modelplug_finetune.json holds. `current` tells whether
    `tuned/<name>` is this version.
    """

    name: str
    version: str
    path: Path
    type: ModelType
    base: str
    metrics: Mapping[str, Mapping[str, float]]
    manifest: Mapping[str, Any] = field(repr=False)
    current: bool = False


@frozen
class Check:
    """One comparison of training with serving; `told` is what was found, with figures."""

    name: str
    passed: bool
    told: str


@frozen
class Verdict:
    """All checks of one served model; `str()` is a line for each."""

    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return all(check.passed for check in self.checks)

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words."""
        return [f"{check.name}: {check.told}" for check in self.checks if not check.passed]

    def __str__(self) -> str:
        return "\n".join(f"{'✓' if c.passed else '✗'} {c.name}: {c.told}" for c in self.checks)


@frozen
class Comparison:
    """
    Base and tuned on the same rows, each asked through its endpoint.

    `metrics` maps a name to (base, tuned); `rows` have the input, what was expected and what
    each said; `page` is an HTML file with all of it; `remarks` tell what this engine did not
    let be measured. `str()` is the table.
    """

    base: str
    tuned: str
    metrics: Mapping[str, tuple[float, float]]
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    page: Path
    remarks: Sequence[str] = ()

    def __str__(self) -> str:
        wide = max(len("metric"), *(len(name) for name in self.metrics), 0)
        lines = [f"{'metric':{wide}}  {'base':>8}  {'tuned':>8}  {'change':>8}"]
        for name, (base, tuned) in self.metrics.items():
            lines.append(f"{name:{wide}}  {base:8.3f}  {tuned:8.3f}  {tuned - base:+8.3f}")
        return "\n".join([*lines, *self.remarks])
