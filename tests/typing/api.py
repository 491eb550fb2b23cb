"""Calls as users write them. Never run: mypy checks that the public face has these types."""

from __future__ import annotations

from typing import assert_type

import modelplug as mp
from modelplug.auto.dynamic import DynamicModule
from modelplug.errors import RateLimited
from modelplug.fallbacks import Fallback


def doors() -> None:
    online = mp.OnlineModule("m", source="openai", api_key="k", temperature=0.5)
    local = mp.TrainableModule("tiny", trust_remote_code=False).start()
    made = mp.AutoModel("tiny")
    assert_type(made, mp.OnlineModule | mp.TrainableModule | DynamicModule)
    assert_type(mp.explain("tiny"), mp.Choice)
    assert_type(online.share(prompt="p", stream={"color": "blue"}), mp.OnlineModule)
    assert_type(local.prompt({"system": "s", "user": "{a}"}), mp.TrainableModule)
    assert_type(local | str.upper, mp.TrainableModule)
    assert_type(online.type, mp.ModelType)
    assert_type(online.api_key, mp.Secret | None)


def several(local: mp.TrainableModule) -> None:
    team = mp.OnlineModule(source="openai", url=["https://a", "https://b"], api_key=["env:K"])
    sure = mp.fallback(team, local, on=(RateLimited,), restart=True)
    assert_type(sure.share(prompt="p"), Fallback)
    with mp.tape("calls.jsonl", "replay", timing=True) as tape:
        assert_type(tape.records, bool)


async def streams(model: mp.Model) -> None:
    for text in model.stream("hi"):
        assert_type(text, str)
    async for piece in model.astream("hi"):
        assert_type(piece, str)
    for event in model.events("hi"):
        if event.kind == "finish":
            assert_type(event.reason, str)
