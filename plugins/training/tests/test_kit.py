"""What every training script needs: run as such a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from modelplug_training.testing import KIT


def run(folder: Path, body: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the events of a script whose function `train` has *body*."""
    request = {
        "output": str(folder / "output"),
        "events": str(folder / "events.jsonl"),
        "stop": str(folder / "stop"),
    }
    (folder / "request.json").write_text(json.dumps(request))
    indented = body.replace("\n", "\n    ")
    (folder / "script.py").write_text(
        f"import training_kit\n\n\ndef train(run):\n    {indented}\n\n\ntraining_kit.main(train)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(folder / "script.py"), str(folder / "request.json")],
        env={**os.environ, "PYTHONPATH": str(KIT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return ended.returncode, [json.loads(line) for line in lines]


def failure(folder: Path, body: str) -> dict[str, Any]:
    code, (event,) = run(folder, body)
    assert 1 == code
    assert "failed" == event["event"]
    return event


def test_a_figure_that_is_no_number_is_null(tmp_path: Path) -> None:
    code, (event,) = run(tmp_path, "run.tell('eval', step=3, metrics={'loss': float('nan')})")

    assert 0 == code
    assert ("eval", 3, {"loss": None}) == (event["event"], event["step"], event["metrics"])
    assert event["time"] > 1.7e9


def test_a_refusal_is_told_as_it_is(tmp_path: Path) -> None:
    event = failure(
        tmp_path, "raise training_kit.Failed('line 3 is empty', 'fill it', kind='data')"
    )

    assert ("data", "line 3 is empty", "fill it") == (event["kind"], event["text"], event["mend"])


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    event = failure(tmp_path, "with open('/dev/full', 'w') as file:\n    file.write('x' * 9999)")

    assert "disk" == event["kind"]
    assert "OSError: [Errno 28] No space left on device" == event["text"]
    assert "make room where the run's folder is; the same call goes on from there" == event["mend"]


def test_a_full_disk_is_seen_through_another_librarys_error(tmp_path: Path) -> None:
    text = "Error while serializing: I/O error: No space left on device (os error 28)"

    assert "disk" == failure(tmp_path, f"raise RuntimeError({text!r})")["kind"]


def test_too_little_memory_is_told_with_what_needs_less(tmp_path: Path) -> None:
    event = failure(tmp_path, "raise MemoryError")

    assert ("memory", "lower batch_size or max_len, and raise grad_accum instead") == (
        event["kind"],
        event["mend"],
    )


def test_a_missing_package_is_told_with_its_name(tmp_path: Path) -> None:
    event = failure(tmp_path, "import trl_that_is_not_there")

    assert "module" == event["kind"]
    assert "ModuleNotFoundError: No module named 'trl_that_is_not_there'" == event["text"]


def test_any_other_error_is_told_with_its_class(tmp_path: Path) -> None:
    event = failure(tmp_path, "return {}['weights']")

    assert ("error", "KeyError: 'weights'") == (event["kind"], event["text"])
