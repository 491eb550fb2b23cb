"""From what a caller asked for to a job in which everything is decided, checked and on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug import TrainableModule
from modelplug.catalog import TrainerTraits
from modelplug.errors import ConfigError, TuningError, Unsupported
from modelplug.local.tuning import Recipe, like, served_by
from modelplug.plugins import installed
from modelplug.types import ModelType, Training, Weights
from modelplug_training.data.lengths import counter
from modelplug_training.data.prepare import Data, check_apart, prepare, rows_of
from modelplug_training.published.shelf import Shelf, shelf_of
from modelplug_training.runs import folders
from modelplug_training.runs.folders import RunFolder
from modelplug_training.settings import Asked, choose, sort_out

TRAINABLE = (ModelType.LLM, ModelType.EMBED, ModelType.RERANK)
PROBES = 8


@frozen
class Job:
    """
    One training, before it begins.

    `base` are the safetensors that it starts from, `served` the weights that users of the base
    meet, by `engine`; the tuned model will be served in the same way.
    """

    recipe: Recipe
    shelf: Shelf
    base: Weights
    served: Weights
    engine: str
    trainer: str
    traits: TrainerTraits
    asked: Asked
    python: str
    train: Data
    evaluation: Data | None
    folder: RunFolder
    template: str | None
    trusted: bool

    @property
    def measured_on(self) -> Data:
        """What base and tuned are measured on."""
        return self.evaluation or self.train

    def request(self, resume_from: Path | None) -> Training:
        """What the trainer is asked."""
        return Training(
            base=self.base,
            type=self.base.type,
            method=self.asked.method,
            form=self.train.form,
            data=self.train.path,
            evaluation=self.evaluation.path if self.evaluation else None,
            settings=self.asked.settings,
            options=self.asked.options,
            folder=self.folder.path,
            output=self.folder.output,
            events=self.folder.events,
            stop=self.folder.stop,
            resume_from=resume_from,
            template=self.template,
            probes=_probes(rows_of(self.train.path), self.base.type),
            python=self.python,
            trust_remote_code=self.trusted,
        )


def _probes(rows: Sequence[Mapping[str, Any]], type: ModelType) -> list[dict[str, Any]]:
    """Inputs out of the data, evenly from all of it: there the trained model differs most."""
    some = rows[:: max(1, len(rows) // PROBES)][:PROBES]
    if type.chats:
        return [{"messages": row["messages"][:-1]} for row in some if not row.get("tools")]
    if type == ModelType.EMBED:
        return [{"text": row["pos"][0] if "pos" in row else row["document"]} for row in some]
    if "document" in rows[0]:
        return [{"query": row["query"], "document": row["document"]} for row in some]
    pairs = [(row["query"], text) for row in some for text in [row["pos"][0], *row["neg"][:1]]]
    return [{"query": query, "document": document} for query, document in pairs]


def plan(module: TrainableModule, recipe: Recipe) -> Job:
    """
    Decide and check everything that can be before memory is taken.

    ConfigError, UnknownOption, NoModel of what was asked; BadData of what is to be learnt.
    """
    plugins = installed()
    served, engine = served_by(like(module, recipe.base))
    if served.type not in TRAINABLE:
        msg = f"{recipe.base!r} is of type {served.type}, and {', '.join(TRAINABLE)} can be trained"
        raise Unsupported(msg)
    trainer = recipe.trainer or choose(
        {name: plugins.trainer(name) for name in plugins.names("finetune")}, served.type
    )
    traits = plugins.trainer(trainer)
    if served.type not in traits.types:
        msg = f"{trainer} trains {', '.join(traits.types)}, and {recipe.base!r} is {served.type}"
        raise Unsupported(msg)
    asked = sort_out(trainer, traits, recipe.arguments)
    python = plugins.runtime().interpreter(trainer, traits, asked.python)
    local = module._local
    base = plugins.runtime().find(
        recipe.base,
        formats=["safetensors"],
        type=served.type,
        source=local.source,
        download=local.trust_remote_code is not False,
    )
    _check_room(base)
    folder = folders.fresh()
    try:
        train, evaluation = _data(recipe, traits, asked, base, folder)
        template = _template(local.engine_options)
        decided = {
            "base": [str(base.path), _stamp(base.path)],
            "type": str(base.type),
            "trainer": [trainer, plugins.find("finetune", trainer).origin],
            "method": asked.method,
            "settings": asked.settings.given(),
            "options": dict(asked.options),
            "train": train.sha256,
            "eval": evaluation.sha256 if evaluation else None,
            "template": template,
        }
        shelf = shelf_of(asked.name or recipe.target, recipe.base)
        folder = folders.settle(folder, shelf.name, decided, _as_asked(module, recipe, trainer))
    except BaseException:
        if folder.path.name.startswith("."):
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return Job(
        recipe=recipe,
        shelf=shelf,
        base=base,
        served=served,
        engine=engine,
        trainer=trainer,
        traits=traits,
        asked=asked,
        python=python,
        train=_moved(train, folder),
        evaluation=_moved(evaluation, folder) if evaluation else None,
        folder=folder,
        template=template,
        trusted=local.trust_remote_code is True,
    )


def _data(
    recipe: Recipe, traits: TrainerTraits, asked: Asked, base: Weights, folder: RunFolder
) -> tuple[Data, Data | None]:
    assert recipe.trainset is not None  # update() asks for it
    length, longest = counter(base.path), asked.settings.max_len
    train = prepare(
        recipe.trainset,
        base.type,
        folder.path / "train.jsonl",
        forms=traits.forms,
        max_len=longest,
        length=length,
    )
    if recipe.evalset is None:
        return train, None
    evaluation = prepare(
        recipe.evalset,
        base.type,
        folder.path / "eval.jsonl",
        forms=traits.forms,
        max_len=longest,
        length=length,
    )
    return train, evaluation.noting(check_apart(train, evaluation))


def _template(options: Mapping[str, Any]) -> str | None:
    """The chat template that the engine is given: its text, or a file's."""
    given = str(options.get("chat_template") or "")
    if not given or "{" in given:
        return given or None
    try:
        return Path(given).expanduser().read_text(encoding="utf-8")
    except OSError as exc:
        msg = f"the chat template {given!r} cannot be read: {exc.strerror}; check the path"
        raise ConfigError(msg) from exc


def _moved(data: Data, folder: RunFolder) -> Data:
    return data.at(folder.path / data.path.name)


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of each file: enough to see that a folder is not what it was."""
    files = sorted(file for file in path.glob("*") if file.is_file())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _check_room(base: Weights) -> None:
    # Two checkpoints, each with weights and the two moments of Adam in 32 bits, and the result:
    # of a base in 16 bits, with an adapter far less. A quarter of that is surely needed.
    needed = base.size * 4
    folder = folders.root()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        msg = (
            f"{free / 1e9:.1f} GB are free where {str(folder)!r} is, and training {base.name!r} "
            f"takes {needed / 1e9:.1f} GB and more; make room, or set MODELPLUG_HOME"
        )
        raise TuningError(msg)


def _as_asked(module: TrainableModule, recipe: Recipe, trainer: str) -> dict[str, Any]:
    """What `modelplug tune resume` builds the same call of."""
    local = module._local
    return {
        "base": recipe.base,
        "type": str(local.wanted_type) if local.wanted_type else None,
        "source": local.source,
        "target": recipe.target,
        "trainer": trainer,
        "arguments": dict(recipe.arguments),
        "trainset": os.path.abspath(recipe.trainset or ""),
        "evalset": os.path.abspath(recipe.evalset) if recipe.evalset else None,
        "engine": local.engine_name,
        "engine_options": dict(local.engine_options),
    }


def refuse_unserved(job: Job, options: Mapping[str, Any]) -> None:
    """ConfigError where the tuned model could not be served as the base is, with *options*."""
    if job.served.adapter is not None:
        msg = (
            f"{job.recipe.base!r} is an adapter, which nothing is trained on top of; name the "
            f"path of its version, {str(job.base.path)!r}, for its merged weights"
        )
        raise ConfigError(msg)
    if job.asked.serve == "adapter":
        if job.asked.method != "lora":
            msg = "serve='adapter' needs method='lora': a full training makes no adapter"
            raise ConfigError(msg)
        if "lora" not in installed().engine(job.engine).options:
            msg = f"{job.engine} serves no adapters; leave serve='adapter' out to serve them merged"
            raise ConfigError(msg)
        if options.get("lora"):
            msg = "serve='adapter' puts an adapter of its own on the base; leave lora= out"
            raise ConfigError(msg)
