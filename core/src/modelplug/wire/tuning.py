"""Fine-tuning at a provider: data goes up, a job runs, a model of another name comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from modelplug.errors import TaskFailed, UnknownOption, did_you_mean
from modelplug.media import Media
from modelplug.wire.codec import Codec
from modelplug.wire.messages import Flow, Request, Response

WAITING = frozenset({"queued", "running"})


@frozen
class TuneJob:
    """
    A job as its provider tells of it: `status` is queued, running, succeeded, failed or
    cancelled; `model` the tuned model's name, once there is one; `reason` why it failed.
    """

    id: str
    status: str
    model: str | None = None
    reason: str = ""
    raw: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen
class TuneCall:
    """
    What is to be tuned. `training` and `validation` are JSON lines of conversations;
    `arguments` hyperparameters; `name` becomes a part of the tuned model's name.

    With `resume`, the job of that id is waited for and nothing is begun. `progress` is called
    with each state that is told.
    """

    model: str
    training: Media | None = None
    validation: Media | None = None
    arguments: Mapping[str, Any] = field(factory=dict)
    name: str = ""
    resume: str = ""
    progress: Callable[[TuneJob], None] | None = None


class TuningCodec(Codec[TuneCall, TuneJob]):
    """
    Fine-tuning at one provider, as `Codec.tuning` of what it tunes names it.

    A subclass gives `begin`, `job_request`, `cancel_request` and `read_job`.
    """

    settings: Mapping[str, str] = {}
    """The common names of hyperparameters (`modelplug.types.Settings`) to the provider's own."""

    own: frozenset[str] = frozenset()
    """Names of its own beyond those."""

    serves = True
    """Whether the tuned model can be called at once; else it must be deployed there first."""

    every = 5.0
    longest = 60.0
    """Seconds between two questions, at first and at most."""

    def begin(self, call: TuneCall) -> Flow[str]:
        """Send what *call* holds; the id of the job that was begun."""
        raise NotImplementedError

    def job_request(self, id: str) -> Request:
        """Ask for the state of job *id*."""
        raise NotImplementedError

    def cancel_request(self, id: str) -> Request:
        """Ask for job *id* to be cancelled."""
        raise NotImplementedError

    def read_job(self, response: Response) -> TuneJob:
        """The state that *response* tells; BadReply for one that is not known."""
        raise NotImplementedError

    def hyperparameters(self, call: TuneCall) -> dict[str, Any]:
        """The arguments of *call* by the provider's names; UnknownOption for any other."""
        found = {}
        known = [*self.settings, *sorted(self.own)]
        for name, value in call.arguments.items():
            if name not in known:
                near = did_you_mean(name, known)
                who = self.endpoint.provider
                msg = f"{who} tunes with no {name!r} (it has: {', '.join(known)}){near}"
                raise UnknownOption(msg)
            found[self.settings.get(name, name)] = value
        return found

    def flow(self, call: TuneCall) -> Flow[TuneJob]:
        """Begin, or pick up, and wait until the job has ended; TaskFailed where it failed."""
        self.hyperparameters(call)  # a wrong name is told before anything is sent
        id = call.resume or (yield from self.begin(call))
        job = yield from self.poll(
            self.job_request(id),
            lambda response: self._ended(call, response),
            task=id,
            every=self.every,
            longest=self.longest,
            at_once=bool(call.resume),
        )
        return job

    def cancel(self, id: str) -> Flow[TuneJob]:
        """Have the provider end job *id*; what it then tells of it."""
        yield from self.send(self.cancel_request(id))
        response = yield from self.send(self.job_request(id))
        with self.reading(response):
            return self.read_job(response)

    def _ended(self, call: TuneCall, response: Response) -> TuneJob | None:
        with self.reading(response):
            job = self.read_job(response)
        if call.progress is not None:
            call.progress(job)
        if job.status in WAITING:
            return None
        if job.status == "succeeded" and job.model:
            return job
        who = self.endpoint.provider
        what = f"{who}: fine-tuning job {job.id} {job.status}"
        msg = f"{what}: {job.reason}" if job.reason else what
        raise TaskFailed(msg, status=response.status, provider=who)
