"""Fine-tuning for modelplug: checks data, runs trainers, proves and serves the result."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen

from modelplug import TrainableModule
from modelplug.errors import ConfigError
from modelplug.local.tuning import Recipe, Tuner, like, served_by, take_over
from modelplug.types import Comparison, ModelType, Tuned, Verdict, Weights
from modelplug_training import flow
from modelplug_training.data.prepare import prepare, rows_of
from modelplug_training.proof.verify import verify
from modelplug_training.published import shelf
from modelplug_training.runs.screen import Screen

__all__ = ["Training", "tuner"]

FORMS = ("messages", "triples", "pairs")


@frozen(eq=False)
class Training:
    """What `modelplug.local.tuning.Tuner` asks for."""

    def update(self, module: TrainableModule, recipe: Recipe, *, unproven: bool) -> Tuned:
        """See Tunable.update."""
        return flow.update(module, recipe, Screen(), unproven=unproven)

    def verify(self, module: TrainableModule, recipe: Recipe) -> Verdict:
        """See Tunable.verify."""
        tuned = _tuned(module, recipe)
        return verify(module, tuned.type, tuned.manifest["proof"])

    def compare(
        self, module: TrainableModule, recipe: Recipe, base: str | None, on: Path | None
    ) -> Comparison:
        """See Tunable.compare."""
        tuned = _tuned(module, recipe)
        given = on or recipe.evalset or recipe.trainset
        if given is None:
            msg = "compare() has nothing to ask; pass on=path"
            raise ConfigError(msg)
        with TemporaryDirectory() as folder:
            out = Path(folder) / "rows.jsonl"
            rows = rows_of(prepare(given, tuned.type, out, forms=FORMS).path)
        instruction = tuned.manifest["model"]["instruction"] or ""
        page = tuned.path / "comparison.html"
        with closing(like(module, base or tuned.base)) as other:
            return flow.compare(other, module, rows, tuned.type, instruction, page)

    def promote(self, module: TrainableModule, recipe: Recipe, version: str | None) -> Tuned:
        """See Tunable.promote and Tunable.rollback."""
        here = shelf.Shelf(_tuned(module, recipe).path.parent)
        tuned = here.tuned(version or here.before_current())
        other = like(module, str(tuned.path), _weights(tuned))
        try:
            other.start()
        except BaseException:
            other.close()
            raise
        tuned = here.promote(tuned.version)
        take_over(module, other)
        return tuned

    def conversations(self, path: Path) -> bytes:
        """See Tuner."""
        with TemporaryDirectory() as folder:
            out = Path(folder) / "rows.jsonl"
            prepare(path, ModelType.LLM, out, forms=("messages",))
            return out.read_bytes()

    def published(self) -> list[Tuned]:
        """See Tuner."""
        return shelf.every()


def _tuned(module: TrainableModule, recipe: Recipe) -> Tuned:
    """The published version that *module* serves or would; ConfigError if that is no tuned one."""
    if recipe.tuned is not None:
        return recipe.tuned
    weights, _ = served_by(module)
    path = weights.adapter or weights.path
    for folder in (path, *path.parents[:2]):
        if (folder / shelf.MANIFEST).is_file():
            return shelf.read(folder)
    msg = f"{module.model!r} is no tuned model; call update() first, or name one as tuned/<name>"
    raise ConfigError(msg)


def _weights(tuned: Tuned) -> Weights:
    """What an engine is given of a published version: what was proven."""
    served: dict[str, Any] = tuned.manifest["served"]
    name, format_, context = f"tuned/{tuned.name}", served["format"], served["context"]
    if served["adapter"]:
        base, adapter = Path(served["base"]), tuned.path / served["adapter"]
        return Weights(name, base, format_, tuned.type, context, adapter)
    path = tuned.path / f"{tuned.name}.gguf" if format_ == "gguf" else tuned.path
    return Weights(name, path, format_, tuned.type, context)


tuner: Tuner = Training()
