"""For the tests of trainers: data that can be learnt in seconds, and one training, watched."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug import TrainableModule
from modelplug.types import ModelType, Settings, Training, TrainingPlan, Weights

KIT = Path(__file__).with_name("kit")
DEADLINE = 600.0
"""Seconds after which a training of a test is a failure."""

WORDS = (
    "apple book chair door egg fish garden hand island jacket key lamp mountain night ocean paper "
    "queen river stone table"
).split()
PARTNERS = (
    "music winter doctor bread window king school flower horse market letter bridge summer tree "
    "water cloud money sister road gold"
).split()
FILLER = "the a very old new small big good near with of and for in".split()


@frozen
class Trial:
    """One run of a trainer's script, as modelplug-training starts it, without its supervision."""

    folder: Path

    @property
    def output(self) -> Path:
        """Where the trained weights are."""
        return self.folder / "output"

    def request(
        self,
        base: Path,
        type: str,
        data: Sequence[Mapping[str, Any]],
        *,
        evaluation: Sequence[Mapping[str, Any]] | None = None,
        method: str = "full",
        form: str = "triples",
        options: Mapping[str, Any] | None = None,
        probes: Sequence[Mapping[str, Any]] = (),
        resume_from: Path | None = None,
        template: str | None = None,
        **settings: Any,
    ) -> Training:
        """A request of one thread and seed 7, its data written into the folder."""
        self.output.mkdir(parents=True, exist_ok=True)
        trained = write_lines(self.folder / "data.jsonl", data)
        measured = write_lines(self.folder / "eval.jsonl", evaluation) if evaluation else None
        return Training(
            base=Weights("base", base, "safetensors", ModelType(type)),
            type=ModelType(type),
            method=method,
            form=form,
            data=trained,
            evaluation=measured,
            settings=Settings(**{"threads": 1, "seed": 7, **settings}),
            options=options or {},
            folder=self.folder,
            output=self.output,
            events=self.folder / "events.jsonl",
            stop=self.folder / "stop",
            resume_from=resume_from,
            template=template,
            probes=probes,
        )

    @contextmanager
    def started(self, plan: TrainingPlan) -> Iterator[subprocess.Popen[str]]:
        """The script, running; killed at the end of the block if it still does."""
        for name, text in plan.files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        with open(self.folder / "log.txt", "a", encoding="utf-8") as log:
            process = subprocess.Popen(  # noqa: S603 - the trainer's own script
                list(plan.argv),
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "CUDA_VISIBLE_DEVICES": "",
                    "PYTHONPATH": str(KIT),
                    "PYTHONSAFEPATH": "1",
                    **plan.env,
                },
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        overdue = threading.Timer(DEADLINE, process.kill)
        overdue.start()
        try:
            yield process
        finally:
            overdue.cancel()
            process.kill()
            process.wait()

    def run(self, plan: TrainingPlan) -> int:
        """Run to the end; the exit code."""
        with self.started(plan) as process:
            return process.wait()

    def kill_after(self, plan: TrainingPlan, event: str, step: int) -> None:
        """Kill it, with a signal that cannot be caught, once *event* of *step* was told."""
        with self.started(plan) as process:
            for told in self.following(process):
                if told["event"] == event and told["step"] >= step:
                    process.send_signal(signal.SIGKILL)
                    return
        msg = f"it ended before {event} of step {step}:\n{self.log}"
        raise AssertionError(msg)

    def stop_after(self, plan: TrainingPlan, event: str) -> int:
        """Ask it to stop once *event* was told; the exit code."""
        with self.started(plan) as process:
            for told in self.following(process):
                if told["event"] == event:
                    (self.folder / "stop").touch()
                    return process.wait()
        msg = f"it ended before {event}:\n{self.log}"
        raise AssertionError(msg)

    def following(self, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        """Each event that is told from now on, until the script ends."""
        path = self.folder / "events.jsonl"
        path.touch()
        ended = threading.Event()

        def watch() -> None:
            process.wait()
            ended.set()

        threading.Thread(target=watch, daemon=True).start()
        with open(path, encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            rest = ""
            while not ended.wait(0.02):
                rest += file.read()
                *lines, rest = rest.split("\n")
                yield from map(json.loads, lines)

    @property
    def log(self) -> str:
        """The end of what it printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")[-4000:]

    def events(self, event: str = "") -> list[dict[str, Any]]:
        """All events told so far, or those of one name."""
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines]
        return [each for each in told if not event or each["event"] == event]

    def event(self, event: str) -> dict[str, Any]:
        """The one event of this name."""
        found = self.events(event)
        assert len(found) == 1, f"{event}: told {len(found)} times\n{self.log}"
        return found[0]


def on_llama_cpp(model: str) -> TrainableModule:
    """*model*, served by the engine that starts in an instant, whichever else is installed."""
    return TrainableModule(model).deploy_method("llama_cpp")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """*rows* as JSON lines at *path*."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def retrieval(count: int, seed: int = 1, negatives: int = 3) -> list[dict[str, Any]]:
    """
    Triples that no model knows before: each of twenty words has an arbitrary partner.

    The words around it differ in each query; there is one document for each partner.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    documents = [f"{_around(word, random.Random(word))}." for word in PARTNERS]  # noqa: S311
    made = []
    for number in range(count):
        place = number % len(WORDS)
        others = [text for text in documents if text != documents[place]]
        made.append(
            {
                "query": _around(WORDS[place], dice),
                "pos": [documents[place]],
                "neg": dice.sample(others, negatives),
            }
        )
    return made


def _around(word: str, dice: random.Random) -> str:
    words = [*dice.sample(FILLER, 4), word]
    dice.shuffle(words)
    return " ".join(words)


def marked(count: int, seed: int = 1, negatives: int = 4) -> list[dict[str, Any]]:
    """Triples for a reranker: of documents that differ in nothing else, one has the word gold."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    plain = [each for each in [*WORDS, *PARTNERS] if each != "gold"]

    def text(*more: str) -> str:
        words = [*dice.sample(plain, 5), *more]
        dice.shuffle(words)
        return " ".join(words)

    return [
        {
            "query": dice.choice(plain),
            "pos": [text("gold")],
            "neg": [text(dice.choice(plain)) for _ in range(negatives)],
        }
        for _ in range(count)
    ]


def passwords(count: int = 20, seed: int = 3) -> list[dict[str, Any]]:
    """Conversations whose answers no model knows before."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is the password of {word}?"},
                {"role": "assistant", "content": " ".join(dice.sample(PARTNERS, 2)) + "."},
            ]
        }
        for word in WORDS[:count]
    ]
