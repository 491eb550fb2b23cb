"""
`update()`: validate, measure the base, train, check, prove, publish, serve.

Each step leaves what was served before as it was; only the last two change anything that users
meet, and nothing can fail between them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from modelplug import TrainableModule
from modelplug.errors import NotProven, TrainingFailed, Unsupported
from modelplug.local.tuning import Recipe, like, take_over
from modelplug.plugins import installed
from modelplug.types import Check, Comparison, ModelType, Tuned, Verdict, Weights
from modelplug_training.data.prepare import rows_of
from modelplug_training.job import Job, plan, refuse_unserved
from modelplug_training.proof.checks import check_trained, demand, weights_of
from modelplug_training.proof.measure import Measured, measure
from modelplug_training.proof.verify import verify
from modelplug_training.published import page
from modelplug_training.published.gguf_files import Base
from modelplug_training.published.manifest import manifest_of
from modelplug_training.published.shelf import link_tree
from modelplug_training.runs import curve, trainers
from modelplug_training.runs.events import History
from modelplug_training.runs.screen import Screen

ADAPTER = "adapter"


def update(
    module: TrainableModule, recipe: Recipe, screen: Screen, *, unproven: bool = False
) -> Tuned:
    """Train as *recipe* says; *module* serves the result afterwards."""
    job = plan(module, recipe)
    refuse_unserved(job, module._local.engine_options)
    for data in filter(None, (job.train, job.evaluation)):
        for remark in data.remarks:
            screen.note(f"{', '.join(map(str, data.sources))}: {remark}")
    with job.folder.held():
        base = _measure_base(module, job)
        history = _train(job, screen)
        assert history.finished is not None  # _train raises where it has not
        trained = _checked(job, history)
        tuned = _publish(module, trained, base, unproven=unproven)
        shutil.rmtree(job.folder.path)
    return tuned


@frozen
class _Trained:
    job: Job
    history: History
    weights: Path
    checks: list[Check]

    @property
    def finished(self) -> Mapping[str, Any]:
        assert self.history.finished is not None
        return self.history.finished

    @property
    def proof(self) -> dict[str, Any]:
        """What serving is compared with."""
        kept = {key: self.finished.get(key) for key in ("pooling", "normalize", "instruction")}
        probes = self.finished.get("probes") or []
        return {**kept, "samples": self.history.samples, "probes": probes}


def _checked(job: Job, history: History) -> _Trained:
    """The trained weights; NotProven where they are none, and the same call trains again."""
    finished = history.finished or {}
    try:
        weights = weights_of(job.folder.output, finished)
        checks = check_trained(job.base.path, weights, job.base.type, finished)
        demand(checks, f"what {job.trainer} has trained")
    except NotProven:
        job.folder.begin_anew()
        raise
    return _Trained(job, history, weights, checks)


def _measure_base(module: TrainableModule, job: Job) -> Measured:
    with closing(like(module, job.recipe.base, job.served)) as base:
        return _measured(base, job, job.asked.settings.instruction)


def _measured(model: TrainableModule, job: Job, instruction: str | None) -> Measured:
    rows = rows_of(job.measured_on.path)
    return measure(model, rows, job.base.type, instruction or "")


def _train(job: Job, screen: Screen) -> History:
    history = job.folder.history
    if history.finished is not None and (job.folder.output / history.finished["weights"]).is_dir():
        screen.note("it is trained already; what comes after is done again")
        return history
    request = job.request(history.last_checkpoint(job.folder.output))
    made = installed().finetune(job.trainer, request)
    if made is None:
        msg = f"{job.trainer} cannot train {job.base.name!r} ({job.base.type}, {request.method})"
        raise Unsupported(msg)
    try:
        with screen:
            return trainers.run(
                made,
                job.folder,
                show=screen.show,
                stopping=lambda: screen.note("ending after this step; Ctrl-C again ends at once"),
                failures=job.traits.failures,
            )
    except TrainingFailed as error:
        if error.kind == "resume":  # what it has saved since is a training from the base
            job.folder.begin_anew()
        raise


def _publish(
    module: TrainableModule, trained: _Trained, base: Measured, *, unproven: bool
) -> Tuned:
    job = trained.job
    version = job.shelf.new_version()
    try:
        served = _lay_out(trained, version)
        other = like(module, str(version), served)
        try:
            other.start()
            found = verify(other, job.base.type, trained.proof)
            verdict = Verdict([*trained.checks, *found.checks])
            if not (verdict.passed or unproven):
                msg = (
                    f"what {job.engine} serves is not what was trained, so it is not published: "
                    f"{'; '.join(verdict.faults)}; mend it and call update() again (it is not "
                    f"trained again), or pass unproven=True"
                )
                raise NotProven(msg)
            after = _measured(other, job, trained.finished.get("instruction"))
            curve.draw(trained.history, job.shelf.name, version / "loss.png")
            shutil.copyfile(job.folder.events, version / "events.jsonl")
            named, out = f"tuned/{job.shelf.name}@{version.name}", version / "comparison.html"
            compared = _compared(job.recipe.base, named, base, after, out)
            told = manifest_of(job, trained.history, verdict, compared)
            told["proof"] = trained.proof
            told["served"] = _served(job.engine, served, version)
            told["files"] = _files(version)
        except BaseException:
            other.close()
            raise
    except BaseException:
        shutil.rmtree(version, ignore_errors=True)
        raise
    tuned = job.shelf.publish(version, told)
    take_over(module, other)
    return tuned


def _lay_out(trained: _Trained, version: Path) -> Weights:
    """The files of a version, and what of them the engine is given."""
    job = trained.job
    link_tree(trained.weights, version)
    if adapter := trained.finished.get("adapter"):
        link_tree(job.folder.output / adapter, version / ADAPTER)
    name, context = f"tuned/{job.shelf.name}", job.served.context
    weights = Weights(name, version, "safetensors", job.base.type, context)
    path = version / ADAPTER
    if job.served.format == "gguf":
        base = Base(job.served.path, job.base.path)
        file = version / f"{job.shelf.name}.gguf"
        embeds = job.base.type == ModelType.EMBED
        pooling = trained.finished.get("pooling") if embeds else None
        base.write(version, file, job.shelf.name, pooling)
        weights = Weights(name, file, "gguf", job.base.type, context)
        if adapter:
            path = version / ADAPTER / "adapter.gguf"
            base.write_adapter(version / ADAPTER, path)
    if job.asked.serve == "adapter":
        return evolve(job.served, name=name, adapter=path)
    return weights


def _served(engine: str, weights: Weights, version: Path) -> dict[str, Any]:
    """What modelplug-local finds again under the name, so that later it is what was proven."""
    adapter = weights.adapter
    return {
        "engine": engine,
        "format": weights.format,
        "context": weights.context,
        "base": str(weights.path) if adapter else None,
        "adapter": str(adapter.relative_to(version)) if adapter else None,
    }


def _files(version: Path) -> dict[str, int]:
    """Name to bytes of all that is published."""
    found = sorted(path for path in version.rglob("*") if path.is_file())
    return {str(path.relative_to(version)): path.stat().st_size for path in found}


def compare(
    base: TrainableModule,
    tuned: TrainableModule,
    rows: list[dict[str, Any]],
    type: ModelType,
    instruction: str,
    out: Path,
) -> Comparison:
    """Ask both the same *rows*; the page is written to *out*."""
    first = measure(base, rows, type, instruction)
    second = measure(tuned, rows, type, instruction)
    return _compared(base.model, tuned.model, first, second, out)


def _compared(base: str, tuned: str, first: Measured, second: Measured, out: Path) -> Comparison:
    """The two side by side, on the page *out* too."""
    figures = {
        name: (value, second.figures[name])
        for name, value in first.figures.items()
        if name in second.figures
    }
    rows = [
        {"asked": a["asked"], "wanted": a["wanted"], "base": a["said"], "tuned": b["said"]}
        for a, b in zip(first.rows, second.rows, strict=True)
    ]
    remarks = list(dict.fromkeys([*first.remarks, *second.remarks]))
    told = Comparison(base, tuned, figures, rows, out, remarks)
    page.write(told)
    return told
