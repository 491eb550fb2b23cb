"""
The five hooks. The entry-point group is the hook, the entry's name is what a user types.

pluggy passes arguments by name and an implementation may leave some out, so adding an
argument is compatible and renaming one is not. All five stop at the first answer and are
addressed: only the plugin that was named is asked, with the wrappers of group
`modelplug.wrappers` round it (`@hookimpl(wrapper=True)`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from modelplug.types import Deployment, Endpoint, ModelType, Plan, Training, TrainingPlan
    from modelplug.wire import Codec

PROJECT = "modelplug"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(firstresult=True)
def resolve_type(model: str) -> ModelType | None:
    """
    Say what *model* does.

    Asked only when neither `type=` nor any manifest's patterns tell: of the provider that
    the caller named, else of every installed resolver until one answers. Do no I/O.

    Return its type, or None for a model that is not yours.
    """


@hookspec(firstresult=True)
def create_online(endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
    """
    Speak to the online model at *endpoint*.

    Asked once for each `OnlineModule`, of the provider that `source=` names; no other is
    asked. Do no I/O here: a wrong key is found by the first call, not by construction.

    Return the codec for models of *type*, or None if this provider has none; modelplug
    then raises `Unsupported`.
    """


@hookspec(firstresult=True)
def deploy_local(deployment: Deployment) -> Plan | None:
    """
    Say how to run an engine that serves `deployment.weights`.

    Asked at `start()`, of the engine that `deploy_method` names or that modelplug chose by
    the manifests. Start nothing: modelplug runs the plan under its supervisor.

    Return the plan, or None if this engine cannot serve these weights.
    """


@hookspec(firstresult=True)
def finetune(request: Training) -> TrainingPlan | None:
    """
    Say how to train `request.base`.

    Asked at `update()`, of the trainer that `finetune_method` names or that modelplug chose by
    the manifests. Start nothing and write nothing: modelplug runs the plan under its
    supervisor and reads the events that `Training` describes.

    Return the plan, or None if this trainer cannot train these weights.
    """


@hookspec(firstresult=True)
def format(value: Any) -> Any:
    """
    Give a reply the form that the caller asked for.

    Asked after each reply of a model with a formatter, of that formatter alone. *value* is
    what the step before gave: the reply's text, or another formatter's answer.

    Return the formed value; raise FormatError, with the reply in it, where that fails.
    """
