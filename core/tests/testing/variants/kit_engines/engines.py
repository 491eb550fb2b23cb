"""Each flaw is an engine of its own; the server and the runtime look at its name."""

import sys

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, Plan

FLAWS = (
    "good",
    "asks_for_no_token",
    "dies_in_silence",
    "leaves_a_child",
    "logs_the_token",
    "says_another_thing_async",
    "token_on_the_command_line",
)


@frozen(eq=False)
class Engine:
    flaw: str

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        token = deployment.token.reveal()
        argv = [sys.executable, "-m", "kit_engines.server", self.flaw]
        argv += [str(deployment.weights.path), str(deployment.port)]
        if self.flaw == "token_on_the_command_line":
            argv.append(token)
        return Plan(argv, {"KIT_ENGINE_TOKEN": token}, model="kit")


def __getattr__(name: str) -> Engine:
    if name not in FLAWS:
        raise AttributeError(name)
    engine = globals()[name] = Engine(name)
    return engine
