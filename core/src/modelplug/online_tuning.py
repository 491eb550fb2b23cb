"""Fine-tuning, as an online model offers it: the builders of a local one, and what they send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, evolve, field

from modelplug.errors import ConfigError, Unsupported
from modelplug.media import Media
from modelplug.plugins import installed
from modelplug.wire.tuning import TuneCall, TuneJob, TuningCodec

if TYPE_CHECKING:
    from modelplug.online import OnlineModule


@define
class OnlineRecipe:
    """What to tune with, as the builders said it."""

    name: str = ""
    arguments: dict[str, Any] = field(factory=dict)
    trainset: Path | None = None
    evalset: Path | None = None
    tuned: TuneJob | None = None


class OnlineTunable:
    """
    The part of an online model that has its provider tune it. Builders change this object.

        m = OnlineModule("gpt-4.1-mini-2025-04-14", "openai")
        m.finetune_method(epochs=3, name="demo").trainset("chats.jsonl").mode("finetune").update()
        m("...")  # asks the tuned model
    """

    _tuning: OnlineRecipe

    def finetune_method(self, *, name: str = "", **arguments: Any) -> Self:
        """
        Tune with these hyperparameters: common names, and the provider's own beyond them.

        *name* becomes a part of the tuned model's name. UnknownOption for any other.
        """
        recipe = evolve(self._tuning, name=name, arguments=arguments)
        _codec(self).hyperparameters(TuneCall(_module(self).model, arguments=arguments))
        self._tuning = recipe
        return self

    def trainset(self, path: str | Path) -> Self:
        """Tune on the conversations at *path*; they are read and checked by `update`."""
        self._tuning.trainset = Path(path)
        return self

    def evalset(self, path: str | Path) -> Self:
        """Have the provider measure on *path*."""
        self._tuning.evalset = Path(path)
        return self

    def mode(self, mode: str) -> Self:
        """Say what `update` does: "finetune"."""
        if mode != "finetune":
            msg = f"mode is 'finetune', not {mode!r}"
            raise ConfigError(msg)
        return self

    def update(
        self, *, resume: str = "", progress: Callable[[TuneJob], None] | None = None
    ) -> Self:
        """
        Send the data, begin a job and wait for it; this object then asks the tuned model.

        Ctrl-C leaves the job running: its id is told, and *resume* picks it up. *progress* is
        called with each state that the provider tells. Where a provider wants a tuned model
        deployed first, this object goes on asking its base, and `tuned` has the name.

        Raises BadData, TaskFailed, and what any call raises.
        """
        from modelplug.transport import shared

        call = _call(self, resume, progress)
        _take(self, shared().run(_codec(self).flow(call), None))
        return self

    async def aupdate(
        self, *, resume: str = "", progress: Callable[[TuneJob], None] | None = None
    ) -> Self:
        """As `update`."""
        from modelplug.transport import shared

        call = _call(self, resume, progress)
        _take(self, await shared().arun(_codec(self).flow(call), None))
        return self

    def cancel(self, job: str) -> TuneJob:
        """Have the provider end the job of this id."""
        from modelplug.transport import shared

        told: TuneJob = shared().run(_codec(self).cancel(job), None)
        return told

    @property
    def tuned(self) -> TuneJob | None:
        """The job that succeeded, with the tuned model's name; None before `update`."""
        return self._tuning.tuned


def _module(tunable: OnlineTunable) -> OnlineModule:
    from modelplug.online import OnlineModule

    assert isinstance(tunable, OnlineModule)  # the only class that is tunable
    return tunable


def _codec(tunable: OnlineTunable) -> TuningCodec:
    module = _module(tunable)
    tuning = module._online.tuning
    if tuning is None:
        msg = f"{module.source} offers no fine-tuning of {module.model!r} here"
        raise Unsupported(msg)
    return tuning(module._online.endpoint)


def _call(
    tunable: OnlineTunable, resume: str, progress: Callable[[TuneJob], None] | None
) -> TuneCall:
    recipe, model = tunable._tuning, _module(tunable).model
    call = TuneCall(
        model, arguments=recipe.arguments, name=recipe.name, resume=resume, progress=progress
    )
    if resume:
        return call
    if recipe.trainset is None:
        msg = "update() has nothing to train on; call trainset(path) first"
        raise ConfigError(msg)
    return evolve(
        call,
        training=_lines(recipe.trainset, "training.jsonl"),
        validation=_lines(recipe.evalset, "validation.jsonl") if recipe.evalset else None,
    )


def _lines(path: Path, name: str) -> Media:
    """The conversations at *path*, whatever form they are in, checked."""
    data: bytes = installed().load("runtime", "training").conversations(path)
    return Media(data, "application/jsonl", name)


def _take(tunable: OnlineTunable, job: TuneJob) -> None:
    module, codec = _module(tunable), _codec(tunable)
    tunable._tuning.tuned = job
    if codec.serves and job.model:
        endpoint = evolve(module._online.endpoint, model=job.model)
        online = installed().create_online(module.source, endpoint, module.type)
        assert online is not None  # the same provider, type and address as before
        module._online = online
