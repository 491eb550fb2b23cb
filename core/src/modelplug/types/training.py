"""What a trainer is asked, and what it answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Attribute, asdict, field, fields, frozen

from modelplug.errors import ConfigError
from modelplug.types.endpoint import ModelType
from modelplug.types.local import Weights


def _number(*, least: float, most: float = float("inf"), whole: bool = False) -> Any:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None:
            return
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or not least <= float(value) <= most:
            kind = "a whole number" if whole else "a number"
            limits = f"{least:g} or more" if most == float("inf") else f"{least:g} to {most:g}"
            msg = f"{attribute.name} must be {kind}, {limits}, not {value!r}"
            raise ConfigError(msg)

    return field(default=None, validator=check)


def _word(*known: str) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None and value not in known:
            msg = f"{attribute.name} must be one of {', '.join(known)}, not {value!r}"
            raise ConfigError(msg)

    return field(default=None, validator=check)


def _targets(value: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    return value if value is None or isinstance(value, str) else tuple(value)


def _is(kind: type) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None and not isinstance(value, kind):
            msg = f"{attribute.name} must be of type {kind.__name__}, not {value!r}"
            raise ConfigError(msg)

    return field(default=None, validator=check)


@frozen(kw_only=True)
class Settings:
    """
    Hyperparameters by the names that are common to all trainers; None is the trainer's default.

    `batch_size` is for each device and step; `warmup` a fraction of all steps; `max_len` in
    tokens, of a query and a passage each or of a whole conversation; `negatives` for each
    positive. `steps` ends the training whatever `epochs` says; `patience` ends it after so
    many evaluations without a better loss. `eval_every`, `save_every` and `log_every` are in
    steps. `lora_targets` is "all" (every linear layer) or names of modules. `instruction`
    stands before a query, in training and when served.
    """

    epochs: float | None = _number(least=0.0)
    steps: int | None = _number(least=1, whole=True)
    lr: float | None = _number(least=0.0, most=1.0)
    batch_size: int | None = _number(least=1, whole=True)
    grad_accum: int | None = _number(least=1, whole=True)
    warmup: float | None = _number(least=0.0, most=1.0)
    weight_decay: float | None = _number(least=0.0, most=1.0)
    max_len: int | None = _number(least=8, whole=True)
    negatives: int | None = _number(least=0, whole=True)
    temperature: float | None = _number(least=1e-6)
    pooling: str | None = _word("mean", "cls", "last")
    normalize: bool | None = _is(bool)
    instruction: str | None = _is(str)
    lora_r: int | None = _number(least=1, whole=True)
    lora_alpha: float | None = _number(least=0.0)
    lora_dropout: float | None = _number(least=0.0, most=1.0)
    lora_targets: str | tuple[str, ...] | None = field(default=None, converter=_targets)
    precision: str | None = _word("fp32", "fp16", "bf16")
    seed: int | None = _number(least=0, whole=True)
    threads: int | None = _number(least=1, whole=True)
    log_every: int | None = _number(least=1, whole=True)
    eval_every: int | None = _number(least=1, whole=True)
    save_every: int | None = _number(least=1, whole=True)
    patience: int | None = _number(least=1, whole=True)

    def given(self) -> dict[str, Any]:
        """Those that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


SETTINGS = tuple(attribute.name for attribute in fields(Settings))
"""The common names of hyperparameters, as `[finetune.<trainer>.settings]` may hold them."""

FORMS = ("messages", "triples", "pairs")
"""
What the lines of normalised data are, one JSON object each:

messages    {"messages": [{"role", "content", ...}, ...], "tools": [...] where there are some};
            roles are system, user, assistant and tool, and the last one is the assistant's
triples     {"query": str, "pos": [str, ...], "neg": [str, ...]}, one positive or more;
            with "pos_scores" and "neg_scores", of the same lengths, where a teacher gave them
pairs       {"query": str, "document": str, "score": number from 0 to 1}
"""


@frozen(kw_only=True)
class Training:
    """
    What a trainer is asked, at `finetune`. All paths are absolute.

    `base` are safetensors. `data`, and `evaluation` where it is not None, are UTF-8 JSON lines
    of `form`, one of FORMS, already checked. `options` are the trainer's own, checked against
    its manifest. `folder` belongs to this run and is the working folder; weights, adapter and
    checkpoints go into `output`, which is empty or holds the checkpoints of an earlier try.
    `resume_from` is one of these, or None.

    `events` is the file that the trainer appends JSON lines to, and `stop` one that need not
    exist: once it does, the trainer ends after the step that is running and keeps what it has.
    `template` is the chat template to train on, None for the tokenizer's own. `probes` are
    inputs, `{"messages": [...]}`, `{"text": ...}` or `{"query": ..., "document": ...}`, that the
    trained model answers at the end in memory, so that serving can be compared with it.

    The events; each has `event` and `time` (seconds since 1970), and a path is relative to
    `output`:

    started     step (0, or the one it goes on from), total (steps), parameters (an object: what
                the trainer really runs with, by its own names), packages (name to version),
                device, resumed_from (path or null)
    metric      step, total, loss, and where known lr, epoch
    eval        step, metrics (name to number; "loss" among them)
    checkpoint  step, path; written when the checkpoint is complete, and not before
    warning     text
    samples     samples: the first training inputs as the model got them, at least two:
                {"messages": [...], "ids": [...], "answer": place in ids where the last answer
                begins}; of an embedder {"text", "ids"}; of a reranker {"query", "document", "ids"}
    failed      kind (memory, disk, nan, data, module, argument or error), text, mend
    finished    step, total, stopped (true where `stop` ended it), weights (the folder of
                safetensors and tokenizer, adapters merged in), adapter (folder or null), pooling,
                normalize, instruction, max_len (null where it has none), probes (as given, each
                with what the model said: "reply", greedy and at most 32 tokens, with an adapter
                still unmerged; "vector"; or "score")
    """

    base: Weights
    type: ModelType
    method: str
    form: str
    data: Path
    evaluation: Path | None
    settings: Settings
    options: Mapping[str, Any]
    folder: Path
    output: Path
    events: Path
    stop: Path
    resume_from: Path | None = None
    template: str | None = None
    probes: Sequence[Mapping[str, Any]] = ()
    python: str = sys.executable
    trust_remote_code: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold of it, for a runner of its own; `base` is the folder's path."""
        told = asdict(self, recurse=False)
        told |= {name: str(value) for name, value in told.items() if isinstance(value, Path)}
        return told | {
            "base": str(self.base.path),
            "type": str(self.type),
            "settings": self.settings.given(),
            "options": dict(self.options),
            "probes": list(self.probes),
        }


@frozen
class TrainingPlan:
    """
    How to train: data, so that it can be shown, tested and run anywhere.

    `files`, names to texts, are written into the run's folder first. `argv` never meets a
    shell, runs in that folder, and should begin with the request's `python`; `env` is added to
    the parent's environment. Module `training_kit` can be imported there: it writes the events.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(factory=dict, repr=lambda env: repr(sorted(env)))
    files: Mapping[str, str] = field(factory=dict)
