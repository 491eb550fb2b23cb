"""A program with a real engine, to be killed: `caller.py WEIGHTS`. It embeds for ever."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from modelplug.types import Deployment, Plan, Secret
from modelplug_local import runtime
from modelplug_sentence_transformers import plugin

weights = runtime.find(sys.argv[1], formats=["safetensors"])


def plan_for(host: str, port: int, token: Secret) -> Plan:
    plan = plugin.deploy_local(Deployment(weights, {"threads": 1}, host, port, token))
    assert plan is not None
    return plan


engine = runtime.launch("tiny-embed", plan_for)
print(urlsplit(engine.url).port, flush=True)
engine.wait()
print("ready", flush=True)
import modelplug as mp  # noqa: E402 - only now: what is started first is killed soonest

model = mp.TrainableModule("m", type="embed").deploy_method(
    mp.deploy.sentence_transformers, url=engine.url, api_key=engine.token
)
while True:
    print(len(model(["a red kite"] * 64)), flush=True)
