"""
The reference system's own examples, run with one change: `import modelplug as lazyllm`.

The sources are its own: each provider's recorded replies, from a server on loopback that only
the environment names. Names of weights stay, and are found under MODELPLUG_MODEL_PATH. An
engine that this version has not is swapped for one that it has, in `SWAPS`; the examples on
attaching name the model to start and hand on the key, since an engine here has one.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug import plugins
from modelplug.settings import variable_of
from modelplug.testing import FaultServer, Replies, Reply

PLUGINS = Path(__file__).parent.parent / "plugins"

SWAPS = {"lazyllm.deploy.vllm": "lazyllm.deploy.llama_cpp"}

WEIGHTS = {
    "qwen2-1.5b": "tiny",
    "bge-large-zh-v1.5": "tiny-embed",
    "bge-reranker-large": "tiny-rerank",
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of weights: the toy ones under the names of the examples."""
    root = tmp_path / "weights"
    for name, shipped in WEIGHTS.items():
        installed = plugins.installed()
        source = installed.manifest("weights", shipped).folder / installed.weights(shipped).gguf
        (root / name).mkdir(parents=True)
        shutil.copy(source, root / name / "model.gguf")
    monkeypatch.setenv("MODELPLUG_MODEL_PATH", str(root))
    return root


Replay = Callable[..., FaultServer]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Gives a source a server on loopback that says *replies*, and a key, by the environment."""
    with ExitStack() as servers:

        def start(source: str, path: str, *replies: Reply, key: str = "sk-seed") -> FaultServer:
            server = servers.enter_context(FaultServer(*replies))
            variable = variable_of(source, "base_url")
            monkeypatch.setenv(f"MODELPLUG_{variable}", server.origin + path)
            monkeypatch.setenv(plugins.installed().provider(source).key_env[0], key)
            return server

        yield start


def recorded(folder: str, file: str) -> Reply:
    """A recorded reply of a provider, from the tests of its plugin."""
    source, _, rest = folder.partition("/")
    return Replies(PLUGINS / source / "tests/replies" / rest)[file].reply


def first_vector(reply: Reply) -> Reply:
    """A reply to several texts as it would be to the first alone."""
    body = json.loads(reply.whole)
    body["data"] = [item for item in body["data"] if item["index"] == 0]
    return reply.but(body=json.dumps(body).encode())


def run(example: str, **names: Any) -> dict[str, Any]:
    """Run *example* after the swaps; the names that it sets."""
    for old, new in SWAPS.items():
        example = example.replace(old, new)
    namespace: dict[str, Any] = {"lazyllm": mp, **names}
    exec(example, namespace)
    return namespace


def test_auto_model_with_a_source(replay: Replay, capsys: pytest.CaptureFixture[str]) -> None:
    server = replay("sensenova", "/compatible-mode/v1", recorded("sensenova/classic", "chat.json"))
    run("""
llm = lazyllm.AutoModel(
        source="sensenova",
        model="SenseNova-V6-5-Pro"
    )
response = llm("你好，简单介绍一下你自己。")
print(response)
""")

    assert "四 等于 四\n" == capsys.readouterr().out
    (request,) = server.requests
    assert "/compatible-mode/v1/chat/completions" == request.path
    assert "Bearer sk-seed" == request.headers["authorization"]
    assert "SenseNova-V6-5-Pro" == request.json["model"]
    said = {"role": "user", "content": "你好，简单介绍一下你自己。"}
    assert [said] == request.json["messages"]


def test_online_embeddings_and_a_ranking(replay: Replay) -> None:
    qwen = replay(
        "qwen",
        "",
        first_vector(recorded("qwen", "embed.json")),
        recorded("qwen", "cross-modal.json"),
    )
    glm = replay("glm", "/api/paas/v4", recorded("glm", "rerank.json"), key="id.secret")
    made = run("""
embed = lazyllm.OnlineModule(type='embed', source='qwen', model='text-embedding-v3')
vec = embed('一段文本')
embed = lazyllm.OnlineModule(type='cross_modal_embed', source='qwen', model='qwen2.5-vl-embedding')
rerank = lazyllm.OnlineModule(type='rerank', source='glm', model='rerank')
""")
    seen = made["embed"](["一只猫"], files=["https://x.invalid/cat.png"])
    ranked = made["rerank"]("q", documents=["d0", "d1"])

    assert [0.1, 0.2] == made["vec"]
    assert [[0.1], [0.2]] == seen
    assert [(1, 0.998), (0, 0.021)] == ranked
    assert ["text-embedding-v3", "qwen2.5-vl-embedding"] == [r.json["model"] for r in qwen.requests]
    assert ["/api/paas/v4/rerank"] == [request.path for request in glm.requests]
    assert {"model": "rerank", "query": "q", "documents": ["d0", "d1"]} == glm.requests[0].json


def test_speech_to_text_with_a_key_as_an_argument(replay: Replay) -> None:
    server = replay("qwen", "", recorded("qwen", "stt.json"), key="not this one")
    made = run("""
# 语音识别 STT
stt = lazyllm.OnlineModule(source='qwen', type='stt', model='qwen-audio-turbo', api_key='xxx')
""")
    heard = made["stt"](PLUGINS / "qwen/tests/replies/inputs/silence.wav")

    assert "hello" == heard
    assert "Bearer xxx" == server.requests[0].headers["authorization"]
    assert "qwen-audio-turbo" == server.requests[0].json["model"]


@pytest.mark.parametrize("source", "qwen openai glm sensenova kimi doubao ppio siliconflow".split())
def test_every_source_of_the_page_is_a_chat_model_by_default(source: str) -> None:
    assert "llm" == mp.OnlineModule(source=source, api_key="id:secret").type


@pytest.mark.parametrize(
    ("type", "made"),
    [
        ("llm", "llm"),
        ("vlm", "vlm"),
        ("embed", "embed"),
        ("cross_modal_embed", "cross_modal_embed"),
        ("rerank", "rerank"),
        ("stt", "stt"),
        ("tts", "tts"),
        ("sd", "text2image"),
        ("text2image", "text2image"),
        ("image_editing", "image_editing"),
    ],
)
def test_every_type_of_the_page_is_made_by_either_name_of_the_argument(
    type: str, made: str
) -> None:
    assert made == mp.OnlineModule(source="qwen", type=type, api_key="sk-seed").type
    assert made == mp.OnlineModule(source="qwen", function=type, api_key="sk-seed").type


def test_a_local_model_by_name(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("""
model = lazyllm.TrainableModule('qwen2-1.5b').start()
response = model('Hello')
print(response)
model.stop()
""")

    assert "Tiny" in capsys.readouterr().out


def test_a_local_model_by_path(weights: Path) -> None:
    made = run(
        "model = lazyllm.TrainableModule(path)\nresponse = model('1+1', temperature=0)\n"
        "model.stop()\n",
        path=str(weights / "qwen2-1.5b"),
    )

    assert "2" == made["response"]


def test_sharing_a_model(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run("""
# 创建基础模型
base_model = lazyllm.TrainableModule('qwen2-1.5b').start()

# 创建共享实例，使用相同的模型但不同的 prompt
chat_model = base_model.share(prompt="你是一个聊天机器人")
code_model = base_model.share(prompt="你是一个编程助手")

# 共享时可以指定不同的配置
shared_model = base_model.share(
    prompt="新的 prompt",                    # 新的 prompt
    format=lazyllm.formatter.JsonFormatter(), # 新的格式化器
    stream={'color': 'blue'}                 # 新的流式配置
)
""")
    base = made["base_model"]
    try:
        assert {base.url} == {
            made[name].url for name in ("chat_model", "code_model", "shared_model")
        }
        assert isinstance(made["chat_model"]("Hello"), str)
        answer = made["shared_model"].share(prompt="")(
            "Give JSON with name Hugo and age 37.", temperature=0
        )
        assert {"name": "Hugo", "age": 37} == answer
        assert '{"name": "Hugo", "age": 37}' in capsys.readouterr().out
    finally:
        base.stop()


def test_attaching_to_a_url(weights: Path) -> None:
    made = run("""
# 连接到已有的 HTTP 服务
model = lazyllm.TrainableModule('qwen2-1.5b').deploy_method(
    lazyllm.deploy.vllm,
).start()

# 连接到上面部署的模型
remote_model = lazyllm.TrainableModule().deploy_method(
    lazyllm.deploy.vllm,
    url=model.url + '/',
    api_key=model.api_key,
)
# 使用远程模型进行推理
response = remote_model("你好")
status = remote_model.status
model.stop()
""")

    assert made["response"]
    assert "attached" == made["status"]


def test_a_local_embedding(weights: Path) -> None:
    made = run("""
# 创建 Embedding 模型
embedding_model = lazyllm.TrainableModule('bge-large-zh-v1.5')
# 进行文本嵌入
embeddings = embedding_model("这是一个测试文本")
embedding_model.stop()
""")

    assert 1 == pytest.approx(math.hypot(*made["embeddings"]), abs=1e-3)


def test_a_local_ranking(weights: Path) -> None:
    made = run("""
# 创建 Rerank 模型
rerank_model = lazyllm.TrainableModule('bge-reranker-large')
# 进行重排序
query = "用户查询"
documents = ["文档1", "文档2", "文档3", "文档4"]
top_n = 2
results = rerank_model(query, documents=documents, top_n=top_n)
# 返回 [(index, score), ...] 格式的结果
rerank_model.stop()
""")
    results = made["results"]

    assert 2 == len(results)
    assert {(int, float)} == {(type(index), type(score)) for index, score in results}
    assert results[0][1] >= results[1][1]


def test_an_embedder_is_tuned_and_served(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPLUG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    installed = plugins.installed()
    shipped = installed.manifest("weights", "tiny-embed").folder / "weights" / "tiny-embed"
    shutil.copytree(shipped, weights / "bge-large-zh-v1.5", dirs_exist_ok=True)
    data = tmp_path / "embedding_data"
    data.mkdir()
    rows = [
        {"query": f"{word} {place}", "pos": [f"{place} {word}"], "neg": [f"{place} nothing"]}
        for place in range(16)
        for word in "一 二 三 四 五 六 七 八".split()
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "rows.jsonl").write_text(lines, encoding="utf-8")

    made = run(
        """
embedding_model = lazyllm.TrainableModule('bge-large-zh-v1.5')\\
    .finetune_method(lazyllm.finetune.flagembedding)\\
    .trainset('/path/to/embedding_data')\\
    .mode('finetune')
embedding_model.update()
embeddings = embedding_model("这是一个测试文本")
embedding_model.stop()
""".replace("/path/to/embedding_data", str(data))
    )

    tuned = made["embedding_model"].tuned
    assert ("bge-large-zh-v1.5", True) == (tuned.name, tuned.manifest["proven"])
    assert "flagembedding" == tuned.manifest["trainer"]["name"]
    assert tmp_path / "home" in tuned.path.parents
    assert 128 == len(made["embeddings"])
