"""
Fine-tuning, as a local model offers it: the builders, and what they lead to.

The work is done by modelplug-training, the entry `training` of group `modelplug.runtime`; this
module only gathers what it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from attrs import define, field

from modelplug.errors import ConfigError, UnknownOption
from modelplug.plugins import installed
from modelplug.types import Comparison, Tuned, Verdict, Weights

if TYPE_CHECKING:
    from modelplug.local.trainable import Reference, TrainableModule

MODES = ("finetune",)


@define
class Recipe:
    """
    What to train, as the builders said it.

    `base` is the model that training begins from, whatever is served at the moment;
    `target` where the tuned one is published: a name, or an absolute path.
    """

    base: str
    target: str = ""
    trainer: str | None = None
    arguments: Mapping[str, Any] = field(factory=dict)
    trainset: Path | None = None
    evalset: Path | None = None
    mode: str = MODES[0]
    tuned: Tuned | None = None


class Tuner(Protocol):
    """What modelplug-training gives; see `Tunable` for what each does."""

    def update(self, module: TrainableModule, recipe: Recipe, *, unproven: bool) -> Tuned:
        """Train, prove, publish and serve; *module* serves the result afterwards."""

    def verify(self, module: TrainableModule, recipe: Recipe) -> Verdict:
        """Compare what is served with what was trained."""

    def compare(
        self, module: TrainableModule, recipe: Recipe, base: str | None, on: Path | None
    ) -> Comparison:
        """Ask base and tuned the same."""

    def promote(self, module: TrainableModule, recipe: Recipe, version: str | None) -> Tuned:
        """Make a version the current one, the one before where it is None, and serve it."""

    def conversations(self, path: Path) -> bytes:
        """The conversations at *path*, checked, as JSON lines: for tuning at a provider."""

    def published(self) -> list[Tuned]:
        """Every published version on this machine, by name and time."""


class Tunable:
    """
    The part of a local model that trains it. Builders change this object and return it.

    What was trained is served by this object, and by all that share its engine, only after it
    has been proven; whatever fails before leaves the old one serving.
    """

    _recipe: Recipe

    def finetune_method(self, trainer: Reference | str | None = None, **arguments: Any) -> Self:
        """
        Train with *trainer*, such as `finetune.flagembedding`; None for the first that fits.

        *arguments*: `method` ("full" or "lora"), `python`, `name` (of the tuned model), the
        common names of hyperparameters (`modelplug.types.Settings`), and the trainer's own.
        """
        name = trainer if trainer is None or isinstance(trainer, str) else trainer.name
        if not isinstance(trainer, str | None) and trainer.group != "finetune":
            msg = f"finetune_method takes finetune.<trainer>, not {trainer!r}"
            raise ConfigError(msg)
        if name is not None:
            installed().find("finetune", name)
        self._recipe.trainer, self._recipe.arguments = name, arguments
        return self

    def trainset(self, path: str | Path) -> Self:
        """Train on the file or folder *path*; it is read and checked by `update`."""
        self._recipe.trainset = Path(path)
        return self

    def evalset(self, path: str | Path) -> Self:
        """Measure on *path*, which training does not see."""
        self._recipe.evalset = Path(path)
        return self

    def mode(self, mode: str) -> Self:
        """Say what `update` does: "finetune"."""
        if mode not in MODES:
            msg = f"mode is {' or '.join(map(repr, MODES))}, not {mode!r}"
            raise ConfigError(msg)
        self._recipe.mode = mode
        return self

    def update(self, *, unproven: bool = False) -> Self:
        """
        Validate, measure the base, train, check, prove, publish, and serve the result.

        The same call goes on where a run was killed. Ctrl-C ends the training early and goes on
        with what there is; a second one ends at once. With *unproven*, a served model that
        differs from the trained one is published all the same, and its manifest says so.

        BadData, TrainingFailed or NotProven tell what went wrong; then nothing is published.
        """
        if self._recipe.trainset is None:
            msg = "update() has nothing to train on; call trainset(path) first"
            raise ConfigError(msg)
        self._recipe.tuned = _tuner().update(_module(self), self._recipe, unproven=unproven)
        return self

    @property
    def tuned(self) -> Tuned | None:
        """The published version that is served; None before `update`."""
        return self._recipe.tuned

    def verify(self) -> Verdict:
        """Compare what is served with what was trained: tokens, pooling, probes, weights."""
        return _tuner().verify(_module(self), self._recipe)

    def compare(self, base: str | None = None, *, on: str | Path | None = None) -> Comparison:
        """
        Ask *base* and the tuned model the same, each through its endpoint.

        *base* is the one it was trained from where it is None; *on* the evalset, else the
        trainset.
        """
        given = Path(on) if on is not None else None
        return _tuner().compare(_module(self), self._recipe, base, given)

    def promote(self, version: str) -> Self:
        """Make `tuned/<name>` that *version* and serve it."""
        if not version:
            msg = "promote() takes a version, as `modelplug tune list` shows them"
            raise UnknownOption(msg)
        self._recipe.tuned = _tuner().promote(_module(self), self._recipe, version)
        return self

    def rollback(self) -> Self:
        """Make `tuned/<name>` the version before the current one and serve it."""
        self._recipe.tuned = _tuner().promote(_module(self), self._recipe, None)
        return self


def like(module: TrainableModule, base: str, weights: Weights | None = None) -> TrainableModule:
    """Another module, on *base* or on *weights* that are there, served as *module* is."""
    from modelplug.local.trainable import TrainableModule

    local = module._local
    other = TrainableModule(base, trust_remote_code=local.trust_remote_code, source=local.source)
    other._local.wanted_type = local.wanted_type
    other._local.engine_name = local.engine_name
    other._local.engine_options = local.engine_options
    if weights is not None:
        other._local.weights, other._local.wanted_type = weights, weights.type
    return other


def served_by(module: TrainableModule) -> tuple[Weights, str]:
    """The weights that *module* serves or would, and the name of the engine."""
    plugins, local = installed(), module._local
    if local.attached is not None:
        msg = f"{local.base_model!r} is attached to another's engine, which cannot be replaced"
        raise ConfigError(msg)
    weights = local.find(plugins)
    return weights, local.choose(plugins, weights)


def take_over(module: TrainableModule, other: TrainableModule) -> None:
    """Have *module*, and all that share its engine, serve what *other* serves."""
    module._local.become(other._local)


def _tuner() -> Tuner:
    tuner: Tuner = installed().load("runtime", "training")
    return tuner


def _module(tunable: Tunable) -> TrainableModule:
    from modelplug.local.trainable import TrainableModule

    assert isinstance(tunable, TrainableModule)  # the only class that is tunable
    return tunable
