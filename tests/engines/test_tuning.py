"""A chat model, tuned with PEFT and served by vLLM: merged, and with its adapter apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from shared import VLLM

import modelplug as mp
from modelplug_training.testing import passwords

LEARNT: dict[str, Any] = {
    "epochs": 60,
    "lr": 1e-2,
    "batch_size": 20,
    "grad_accum": 1,
    "warmup": 0.05,
    "threads": 1,
}
ROWS = passwords()
# A system text that nobody trained on, put there by the template of the server alone.
OTHER_TEMPLATE = """{% for message in messages -%}
<|im_start|>{{ message.role }}
You are a pirate. {{ message.content }}<|im_end|>
{% endfor -%}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture(scope="module", autouse=True)
def environments(install: Callable[[str], None]) -> None:
    """Made before the first test."""
    for name in ("vllm", "peft"):
        install(name)


@pytest.fixture(scope="module")
def tuned(environments: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The same training twice: served merged, and as an adapter on the base."""
    data = tmp_path_factory.mktemp("data") / "passwords.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    made = {}
    for serve in ("merged", "adapter"):
        model = mp.TrainableModule("tiny").deploy_method(mp.deploy.vllm, **VLLM)
        model.finetune_method(mp.finetune.peft, serve=serve, name=f"passwords-{serve}", **LEARNT)
        # Both share the base's engine until each has its own.
        made[serve] = model.trainset(data).start()
    try:
        for model in made.values():
            model.update()
        yield made
    finally:
        for model in made.values():
            model.stop()


def answers(model: Any, **options: Any) -> list[str]:
    return [
        model(row["messages"][:1], temperature=0, max_tokens=16, **options).strip() for row in ROWS
    ]


@pytest.mark.parametrize("serve", ["merged", "adapter"])
def test_what_is_served_has_learnt_what_the_base_did_not_know(
    tuned: dict[str, Any], serve: str
) -> None:
    wanted = [row["messages"][1]["content"] for row in ROWS]

    assert sum(map(str.__eq__, answers(tuned[serve]), wanted)) >= 19
    metrics = tuned[serve].tuned.metrics
    assert 0 == metrics["base"]["exact match"]
    assert metrics["tuned"]["exact match"] >= 0.95
    # Computed by the server: of the adapter's model, and not of the base beside it.
    assert metrics["tuned"]["loss"] < 1 < 6 < metrics["base"]["loss"]


@pytest.mark.parametrize("serve", ["merged", "adapter"])
def test_it_is_proven_to_be_what_was_trained(tuned: dict[str, Any], serve: str) -> None:
    verdict = tuned[serve].verify()

    assert [] == verdict.faults
    assert [
        ("the engine makes the tokens that were trained on", "2 of 2 samples, id by id"),
        (
            "the engine answers as the trained model did in memory",
            "100% of 8 answers is the same",
        ),
    ] == [(check.name, check.told) for check in verdict.checks]


def test_adapter_and_merged_weights_answer_alike(tuned: dict[str, Any]) -> None:
    assert answers(tuned["merged"]) == answers(tuned["adapter"])


def test_the_base_below_an_adapter_is_not_taken_for_it(tuned: dict[str, Any]) -> None:
    model = tuned["adapter"]
    names = [f"tuned/{model.tuned.name}", f"tuned/{model.tuned.name}/base"]
    with openai.OpenAI(base_url=model.url, api_key=model.api_key.reveal()) as client:
        assert set(names) == {each.id for each in client.models.list()}
        said = [
            client.chat.completions.create(
                model=name, messages=ROWS[0]["messages"][:1], temperature=0, max_tokens=16
            )
            .choices[0]
            .message.content
            for name in names
        ]

    assert ROWS[0]["messages"][1]["content"] == said[0]
    assert said[0] != said[1]


def test_another_template_than_that_of_the_training_is_noticed(
    tuned: dict[str, Any], tmp_path: Path
) -> None:
    template = tmp_path / "pirate.jinja"
    template.write_text(OTHER_TEMPLATE, encoding="utf-8")
    # Called by its name, too, it is the adapter on its base.
    other = mp.TrainableModule(f"tuned/{tuned['adapter'].tuned.name}")
    other.deploy_method(mp.deploy.vllm, chat_template=str(template), **VLLM)

    with other:
        verdict = other.verify()

    assert not verdict.passed
    assert "the chat template or the system text is not that of the training" in verdict.faults[0]
