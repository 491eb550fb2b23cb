"""A program with a real engine, to be killed: `caller.py WEIGHTS`. It streams for ever."""

from __future__ import annotations

import json
import sys
import urllib.request
from urllib.parse import urlsplit

from modelplug.types import Deployment, Plan, Secret
from modelplug_llama_cpp import plugin
from modelplug_local import runtime

weights = runtime.find(sys.argv[1], formats=["gguf"])


def plan_for(host: str, port: int, token: Secret) -> Plan:
    plan = plugin.deploy_local(Deployment(weights, {}, host, port, token))
    assert plan is not None
    return plan


engine = runtime.launch("tiny", plan_for)
print(urlsplit(engine.url).port, flush=True)
engine.wait()
print("ready", flush=True)
body = {"messages": [{"role": "user", "content": "Tell me a story."}], "stream": True}
while True:
    request = urllib.request.Request(engine.url + "/chat/completions", json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    with urllib.request.urlopen(request) as response:
        print(response.readline(), flush=True)
        response.read()
