"""Runs a trainer's plan as a process that cannot be left behind, and follows its events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from modelplug.catalog import Failure as Row
from modelplug.errors import TrainingFailed
from modelplug.types import TrainingPlan
from modelplug_local.engines import logs
from modelplug_local.engines.failures import Diagnosis, Failure, diagnose
from modelplug_local.engines.spawn import Run
from modelplug_training.runs.events import Event, Follower, History, mend
from modelplug_training.runs.folders import RunFolder

KIT = Path(__file__).parent.with_name("kit")
ROUND = 0.2
"""Seconds between two looks at the events."""

TAIL_LINES = 15
_MENDS = {
    "nan": "lower lr, raise warmup, or train with precision='fp32'",
    "resume": "the same call trains from the beginning; report it to the trainer's author",
}


def run(
    plan: TrainingPlan,
    folder: RunFolder,
    *,
    show: Callable[[Event, History], None],
    stopping: Callable[[], None],
    failures: Iterable[Row] = (),
) -> History:
    """
    Train to the end, and answer what is known of it.

    *show* is called with each event, *stopping* when Ctrl-C asked for an early end; a second
    one is a KeyboardInterrupt, after the trainer has ended. TrainingFailed tells the cause.
    """
    for name, text in plan.files.items():
        (folder.path / name).write_text(text, encoding="utf-8")
    mend(folder.events)
    folder.stop.unlink(missing_ok=True)
    history, follower = folder.history, Follower(folder.events)
    for _ in follower:  # those of earlier tries are in the history already
        pass
    log_start = folder.log.stat().st_size if folder.log.exists() else 0
    process = Run(plan.argv, _environment(plan), folder.log, cwd=folder.path)
    try:
        _follow(process, folder, follower, history, show, stopping)
    finally:
        process.end()
    for event in follower:
        history.add(event)
        show(event, history)
    lines = logs.tail(folder.log, log_start)
    if problem := _problem(history, process, lines, failures):
        raise _failed(folder, problem, lines[-TAIL_LINES:])
    return history


def _environment(plan: TrainingPlan) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(KIT), os.environ.get("PYTHONPATH", "")]))
    # No file of the working folder may pose as a module, and nothing reports to the network.
    return {
        "PYTHONPATH": path,
        "PYTHONSAFEPATH": "1",
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        **plan.env,
    }


def _follow(
    process: Run,
    folder: RunFolder,
    follower: Follower,
    history: History,
    show: Callable[[Event, History], None],
    stopping: Callable[[], None],
) -> None:
    ended = False
    while not (ended or history.fault):
        try:
            ended = process.wait(ROUND)
            for event in follower:
                history.add(event)
                show(event, history)
        except KeyboardInterrupt:
            if folder.stop.exists():
                raise
            folder.stop.touch()
            stopping()


def _problem(
    history: History, process: Run, lines: list[str], failures: Iterable[Row]
) -> tuple[str, Diagnosis] | None:
    """(kind, cause and mend) of what went wrong."""
    if history.fault:
        kind = "nan" if "resuming" not in history.fault else "resume"
        return kind, Diagnosis(kind, history.fault, _MENDS[kind])
    if history.failed is not None:
        told = history.failed
        diagnosis = Diagnosis(told["kind"], told["text"], told.get("mend") or "see its log")
        return str(told["kind"]), diagnosis
    if history.finished is not None and process.exit == 0:
        return None
    rows = [Failure("trainer", row.match, row.cause, row.mend) for row in failures]
    exit_status = process.exit or None  # 0 without a last event tells nothing
    outcome = process.outcome
    if process.exit == 0:
        outcome = "it ended without telling that it has finished"
    found = diagnose(lines, outcome, exit_status, rows)
    kinds = {"memory": "memory", "gpu-memory": "memory", "killed": "memory", "disk": "disk"}
    kinds |= {"module": "module", "import": "module", "library": "module"}
    return kinds.get(found.name, "error"), found


def _failed(folder: RunFolder, problem: tuple[str, Diagnosis], lines: list[str]) -> TrainingFailed:
    kind, diagnosis = problem
    msg = f"training {folder.id!r} failed: {diagnosis.cause}; {diagnosis.mend}"
    if lines:
        msg += f"\nthe last lines of {folder.log}:\n" + "\n".join(f"    {it}" for it in lines)
    return TrainingFailed(msg, log_path=str(folder.log), kind=kind)
