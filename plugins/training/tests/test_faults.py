"""
What goes wrong is refused with its cause, and what was served before still is.

The trainer is the scripted one: it really runs, in a process of its own, and fails as told.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug.errors import (
    BadData,
    ConfigError,
    NotProven,
    TrainingFailed,
    TuningError,
    UnknownOption,
    Unsupported,
)
from modelplug_local.testing import Family
from modelplug_training.published import shelf
from modelplug_training.runs import folders
from modelplug_training.testing import on_llama_cpp, retrieval, write_lines

QUESTION = "What is the code of the apple?"
CHAT = [
    {
        "messages": [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "It is music."},
        ]
    }
]

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def chat(tmp_path: Path) -> Callable[..., mp.TrainableModule]:
    """A chat model that is trained by the scripted trainer, with a fault or without."""
    data = write_lines(tmp_path / "chat.jsonl", CHAT)

    def make(fault: str = "", **arguments: Any) -> mp.TrainableModule:
        module = on_llama_cpp("tiny")
        module.finetune_method("scripted", **({"fault": fault} if fault else {}), **arguments)
        return module.trainset(data)

    return make


@pytest.fixture
def embedder(tmp_path: Path) -> Callable[[str], mp.TrainableModule]:
    """An embedder that is trained by the scripted trainer."""
    data = write_lines(tmp_path / "triples.jsonl", retrieval(20))

    def make(fault: str) -> mp.TrainableModule:
        return on_llama_cpp("tiny-embed").finetune_method("scripted", fault=fault).trainset(data)

    return make


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("nan", "nan", "the loss is None at step 3; lower lr, raise warmup"),
        ("disk", "disk", "No space left on device"),
        ("device", "error", "the device is broken; take another one"),
        ("ends silently", "error", "it ended without telling that it has finished"),
        ("dies once", "error", "it exited with status 9"),
    ],
)
def test_a_training_that_fails_says_why_and_publishes_nothing(
    chat: Callable[..., mp.TrainableModule], fault: str, kind: str, told: str
) -> None:
    with chat(fault) as module:
        before = module(QUESTION)
        pid = module._local.engine.pid if module._local.engine else None

        with pytest.raises(TrainingFailed) as caught:
            module.update()

        assert told in str(caught.value)
        assert kind == caught.value.kind
        assert Path(str(caught.value.log_path)).is_file()
        assert [] == shelf.every()
        assert module.tuned is None
        assert before == module(QUESTION)
        assert module._local.engine is not None
        assert pid == module._local.engine.pid


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no weights", "lacks safetensors; nothing is published, and the base is not served"),
        ("unchanged", "the weights differ from the base's: none of 50 tensors"),
        ("broken weights", "all weights are numbers: not in "),
        ("cut off", "is no safetensors file, or is cut off: "),
    ],
)
def test_weights_that_are_no_result_are_refused(
    chat: Callable[..., mp.TrainableModule], fault: str, told: str
) -> None:
    with chat(fault) as module, pytest.raises(NotProven) as caught:
        module.update()

    assert told in str(caught.value)
    assert [] == shelf.every()
    [folder] = folders.every()
    assert folder.history.finished is None  # the same call trains again


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no pooling", "there is no modules.json, and mean was trained"),
        ("cls pooling", "cls and normalised recorded, mean and normalised trained"),
    ],
)
def test_an_embedder_whose_pooling_is_not_recorded_is_refused(
    embedder: Callable[[str], mp.TrainableModule], fault: str, told: str
) -> None:
    with embedder(fault) as module, pytest.raises(NotProven) as caught:
        module.update()

    assert f"pooling and normalisation are recorded: {told}" in str(caught.value)
    assert [] == shelf.every()


def test_a_template_that_adds_a_system_text_in_training_is_refused(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("system text") as module:
        with pytest.raises(NotProven) as caught:
            module.update()

        assert (
            "the engine makes the tokens that were trained on: after 1 ids that are the same, "
            "'system\\nYou are a helpful assistant.<|im_end|>\\n<|im_start|>user\\n"
        ) in str(caught.value)
        assert "the chat template or the system text is not that of the training" in str(
            caught.value
        )
        assert [] == shelf.every()
        assert [] == [each for each in shelf.root().glob("*/*") if each.is_dir()]
        assert "tiny" == module.model


def test_what_is_not_proven_is_published_where_that_was_asked_for(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("system text") as module:
        tuned = module.update(unproven=True).tuned

        assert tuned is not None
        assert not tuned.manifest["proven"]
        assert not module.verify().passed
        assert ["tiny"] == [each.name for each in shelf.every()]


def test_a_run_that_was_proven_wrong_is_not_trained_again(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("system text") as module:
        with pytest.raises(NotProven):
            module.update()
        [folder] = folders.every()
        events = folder.events.read_bytes()
        assert "finished" == folder.status

        with pytest.raises(NotProven):
            module.update()

        assert events == folder.events.read_bytes()


def test_a_trainer_that_resumes_from_the_base_is_found_out(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("resumes from the base", steps=8) as module:
        with pytest.raises(TrainingFailed, match="it exited with status 9"):
            module.update()

        with pytest.raises(TrainingFailed) as caught:
            module.update()

    assert "the checkpoint was not loaded" in str(caught.value)
    assert "resume" == caught.value.kind
    assert [] == shelf.every()
    [folder] = folders.every()
    assert [] == list(folder.output.glob("*"))
    assert folder.history.begun is None


def test_the_same_call_goes_on_from_the_last_checkpoint(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("dies once", steps=6) as module:
        with pytest.raises(TrainingFailed):
            module.update()
        [folder] = folders.every()
        assert "interrupted" == folder.status

        tuned = module.update(unproven=True).tuned

    assert tuned is not None
    assert "checkpoint-3" == tuned.manifest["training"]["resumed_from"]
    assert 6 == tuned.manifest["training"]["steps"]
    assert [] == folders.every()


def test_a_killed_program_leaves_no_trainer_and_the_same_call_goes_on(
    chat: Callable[..., mp.TrainableModule], family: Family, tmp_path: Path
) -> None:
    program = (
        "import modelplug as mp\n"
        "module = mp.TrainableModule('tiny').deploy_method('llama_cpp')\n"
        "module.finetune_method('scripted', fault='waits', steps=5)\n"
        f"module.trainset({str(tmp_path / 'chat.jsonl')!r})\n"
        "print('begin', flush=True)\n"
        "module.update(unproven=True)\n"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path])}
    running = family.run([sys.executable, "-c", program], env)
    following = threading.Event()
    _when(tmp_path, step=3, then=lambda: (running.kill(), following.set()))
    running.communicate()
    assert following.is_set()
    family.wait_until_gone()
    [folder] = folders.every()
    assert ("interrupted", 3) == (folder.status, folder.history.step)

    with chat("waits", steps=5) as module:
        tuned = module.update(unproven=True).tuned

    assert tuned is not None
    assert "checkpoint-3" == tuned.manifest["training"]["resumed_from"]
    assert 5 == tuned.manifest["training"]["steps"]


def test_an_interrupt_ends_a_training_early_and_keeps_what_it_has(
    chat: Callable[..., mp.TrainableModule], tmp_path: Path
) -> None:
    with chat("waits", steps=50) as module:
        _when(tmp_path, step=3, then=lambda: os.kill(os.getpid(), signal.SIGINT))

        tuned = module.update(unproven=True).tuned

    assert tuned is not None
    assert tuned.manifest["training"]["stopped"] is True
    assert (3, 50) == (tuned.manifest["training"]["steps"], tuned.manifest["training"]["of"])


def _when(tmp_path: Path, *, step: int, then: Callable[[], Any]) -> None:
    """Do *then* once the one training there is has told its checkpoint of that step."""

    def watch() -> None:
        pattern = '"event": "checkpoint", "time": '
        while not threading.Event().wait(0.02):
            for path in (tmp_path / "home" / "tuning").glob("*/events.jsonl"):
                told = [json.loads(line) for line in _whole_lines(path) if pattern in line]
                if any(each["step"] == step for each in told):
                    then()
                    return

    threading.Thread(target=watch, daemon=True).start()


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().rpartition("\n")[0].splitlines()


def test_two_programs_do_not_train_the_same_at_once(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    with chat("dies once") as module:
        with pytest.raises(TrainingFailed):
            module.update()
        [folder] = folders.every()
        with folder.held(), pytest.raises(TuningError, match="is being trained by another program"):
            module.update()


def test_data_that_cannot_be_used_is_refused_before_anything_is_started(
    chat: Callable[..., mp.TrainableModule], tmp_path: Path
) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", [{"conversations": [{"from": "bing", "value": "x"}]}])
    module = chat().trainset(bad)

    with pytest.raises(BadData, match=r"bad.jsonl:1: conversations\[0\].from: 'bing' is none of"):
        module.update()

    assert "stopped" == module.status
    assert [] == list(folders.root().iterdir())


def test_a_base_that_there_is_no_room_for_is_refused_before_anything_is_written(
    tmp_path: Path, weights_folder: Path, home: Path
) -> None:
    base = tmp_path / "large"
    shutil.copytree(weights_folder / "tiny", base)
    shutil.copy(weights_folder / "tiny.q8_0.gguf", base / "large.gguf")
    whole = shutil.disk_usage(tmp_path).total
    with (base / "more.safetensors").open("wb") as file:
        file.truncate(whole)  # a hole: nothing of it takes room
    needed = 4 * sum(file.stat().st_size for file in base.iterdir())
    module = on_llama_cpp(str(base)).finetune_method("scripted")

    with pytest.raises(TuningError) as caught:
        module.trainset(write_lines(tmp_path / "chat.jsonl", CHAT)).update()

    told = re.fullmatch(
        rf"(\d+\.\d) GB are free where '{home}/tuning' is, and training '.*large' takes "
        r"(\d+\.\d) GB and more; make room, or set MODELPLUG_HOME",
        str(caught.value),
    )
    assert told is not None
    assert f"{needed / 1e9:.1f}" == told[2]
    assert 0 < float(told[1]) < whole / 1e9
    assert not home.exists()
    assert "stopped" == module.status


@pytest.mark.parametrize("name", ["share.json", "share.jsonl"])
def test_sharegpt_is_trained_with_the_roles_that_are_served(
    name: str, chat: Callable[..., mp.TrainableModule], tmp_path: Path
) -> None:
    turns = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": "It is music."}]
    # Lines in either file: what it is called does not decide.
    data = write_lines(tmp_path / name, [{"conversations": turns}, {"conversations": turns}])

    with chat().trainset(data) as module:
        # Unproven, as the scripted trainer answers no probes; its samples are compared.
        tuned = module.update(unproven=True).tuned

    assert tuned is not None
    assert 2 == tuned.manifest["data"]["train"]["rows"]
    [sample, _] = tuned.manifest["proof"]["samples"]
    assert CHAT[0]["messages"] == sample["messages"]
    [tokens] = [each for each in tuned.manifest["checks"] if "tokens" in each["name"]]
    assert (True, "2 of 2 samples, id by id") == (tokens["passed"], tokens["told"])


def test_a_trainer_without_its_packages_says_so_before_anything_is_started(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    module = chat().finetune_method("absent")

    with pytest.raises(ConfigError) as caught:
        module.update()

    assert "no_such_module_anywhere" in str(caught.value)
    assert "install" in str(caught.value)
    assert "stopped" == module.status


def test_an_argument_that_no_trainer_has_is_refused_with_the_near_one(
    chat: Callable[..., mp.TrainableModule],
) -> None:
    module = chat()

    with pytest.raises(
        UnknownOption, match="scripted has no argument 'step'; did you mean 'steps'"
    ):
        module.finetune_method("scripted", step=3).update()
    with pytest.raises(UnknownOption, match=r"is given lr= for its learning_rate; write lr=0.1"):
        module.finetune_method("scripted", learning_rate=0.1).update()
    with pytest.raises(UnknownOption, match="scripted has nothing to set 'warmup' by"):
        module.finetune_method("scripted", warmup=0.1).update()
    with pytest.raises(
        ConfigError, match="scripted: steps must be a whole number, 1 or more, not 0"
    ):
        module.finetune_method("scripted", steps=0).update()
    with pytest.raises(ConfigError, match="scripted trains full or lora, not 'qlora'"):
        module.finetune_method("scripted", method="qlora").update()
    with pytest.raises(ConfigError, match="serve is 'merged' or 'adapter', not 'both'"):
        module.finetune_method("scripted", serve="both").update()
    with pytest.raises(ConfigError, match="serve='adapter' needs method='lora'"):
        module.finetune_method("scripted", serve="adapter").update()
    module.deploy_method("llama_cpp", lora="other.gguf")
    with pytest.raises(ConfigError, match="an adapter of its own on the base; leave lora= out"):
        module.finetune_method("scripted", method="lora", serve="adapter").update()


def test_a_trainer_that_cannot_says_so(chat: Callable[..., mp.TrainableModule]) -> None:
    with chat("cannot") as module, pytest.raises(Unsupported) as caught:
        module.update()

    assert "scripted cannot train 'tiny' (llm, full)" == str(caught.value)


def test_what_is_missing_is_said(chat: Callable[..., mp.TrainableModule]) -> None:
    module = chat()

    with pytest.raises(ConfigError, match=r"nothing to train on; call trainset\(path\) first"):
        on_llama_cpp("tiny").update()
    with pytest.raises(ConfigError, match="mode is 'finetune', not 'train'"):
        module.mode("train")
    with pytest.raises(ConfigError, match="finetune_method takes finetune.<trainer>"):
        module.finetune_method(mp.deploy.llama_cpp)
    with pytest.raises(ConfigError, match="'tiny' is no tuned model; call update"):
        module.verify()
    with pytest.raises(ConfigError, match="cannot name a tuned model"):
        module.finetune_method("scripted", name="../x").update()
