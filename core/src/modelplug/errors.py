"""
Every error that modelplug raises.

    ModelplugError
    ├── ConfigError              a setting or an argument is wrong; nothing was sent
    │   ├── MissingKey           the provider needs a key and none was found
    │   ├── UnknownOption        no such option; the near matches are named
    │   ├── BadConfig            a config file is wrong; file, line and field are told
    │   └── NoModel              nothing installed can serve the model; each candidate is listed
    ├── PluginError              a plugin, not the caller, is at fault
    │   ├── PluginNotFound       no such name; the mend says what to install
    │   ├── PluginBroken         it was found and could not be loaded, or broke its contract
    │   └── BadManifest          its modelplug.toml cannot be read
    ├── Unsupported              the model cannot do what was asked (also a NotImplementedError)
    ├── TapeMismatch             a call that the tape being played back does not hold
    ├── FormatError              a reply could not be given the form that was asked for
    ├── EngineError              a local engine
    │   ├── EngineFailed         did not start; the cause and the last lines of its log
    │   └── EngineDied           ended while it was in use; the next call starts it again
    ├── TuningError              a fine-tuning; what was served before it still is
    │   ├── BadData              the training data; each fault with its file, line and field
    │   ├── TrainingFailed       the trainer ended without weights; the cause, the end of its log
    │   └── NotProven            what would be served is not what was trained; not published
    └── CallError                a request was made
        ├── TransportFailed      nothing came back, or it stopped half-way
        │   └── TimedOut         `limit` tells which of the four limits
        ├── BadReply             what came back cannot be read
        └── Refused              what came back is an error
            ├── InvalidRequest   400, 409, 413, 422
            │   └── ContextTooLong
            ├── AuthRefused      401
            ├── PermissionRefused  403
            ├── NotFound         404
            ├── Filtered         the provider's content rules
            ├── QuotaExhausted   402, and 429 that waiting does not mend
            ├── RateLimited      429
            │   └── ConcurrencyLimited
            ├── TaskFailed       a job was taken on and failed
            └── ProviderFailed   5xx
                └── Overloaded   503, 529

The text says what and why, and after a semicolon the mend. Programs read the fields of
`CallError`; the class is chosen by HTTP status and the provider's code table. A message is
searched only where the manifest says that one code stands for several things.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelplugError(Exception):
    """Root of all errors of modelplug."""


class ConfigError(ModelplugError):
    """A setting or an argument is wrong; nothing was sent."""


class MissingKey(ConfigError):
    """The provider needs a key and none was found."""


class UnknownOption(ConfigError, TypeError):
    """No such option; the near matches are named."""


class BadConfig(ConfigError):
    """A config file is wrong: `path`, `line` (from 1) and `field` tell where."""

    def __init__(self, message: str, *, path: str, line: int, field: str) -> None:
        super().__init__(message)
        self.path = path
        self.line = line
        self.field = field


class NoModel(ConfigError):
    """Nothing installed can serve the model."""


class PluginError(ModelplugError):
    """A plugin, not the caller, is at fault."""


class PluginNotFound(PluginError, AttributeError):
    """No installed plugin has that name."""


class PluginBroken(PluginError):
    """A plugin could not be loaded, or broke its contract."""


class BadManifest(PluginError):
    """A plugin's modelplug.toml cannot be read."""


class Unsupported(ModelplugError, NotImplementedError):
    """The model cannot do what was asked."""


class TapeMismatch(ModelplugError):
    """A call that the tape being played back does not hold; the difference is shown."""


class FormatError(ModelplugError, ValueError):
    """A reply could not be given the form that was asked for; `reply` holds it as it came."""

    def __init__(self, message: str, *, reply: object = None) -> None:
        super().__init__(message)
        self.reply = reply


class EngineError(ModelplugError):
    """A local engine failed; `log_path` names its log where there is one."""

    retryable = False

    def __init__(self, message: str, *, log_path: str | None = None) -> None:
        super().__init__(message)
        self.log_path = log_path


class EngineFailed(EngineError):
    """A local engine did not start."""


class EngineDied(EngineError):
    """A local engine ended while it was in use; the next call starts it again."""

    retryable = True


class TuningError(ModelplugError):
    """
    A fine-tuning failed; what was served before it still is.

    `log_path` names the trainer's log where there is one.
    """

    def __init__(self, message: str, *, log_path: str | None = None) -> None:
        super().__init__(message)
        self.log_path = log_path


class BadData(TuningError, ValueError):
    """The training data cannot be used; each fault is told with its file, line and field."""


class TrainingFailed(TuningError):
    """The trainer ended without weights; `kind` is memory, disk, nan, data, module or error."""

    def __init__(self, message: str, *, log_path: str | None = None, kind: str = "error") -> None:
        super().__init__(message, log_path=log_path)
        self.kind = kind


class NotProven(TuningError):
    """What would be served is not what was trained: it is not published."""


class CallError(ModelplugError):
    """
    A request failed.

    `status` is the HTTP status and `code` the provider's own code, where there are any;
    `retry_after` is in seconds; `partial` is the text that had arrived when a stream broke;
    `task` is the id of a job that may still run at the provider: pass `resume=` to wait for it.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        provider: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        if retryable is not None:
            self.retryable = retryable
        self.retry_after = retry_after
        self.provider = provider
        self.request_id = request_id
        self.partial = ""
        self.task = ""


class TransportFailed(CallError):
    """Nothing came back, or it stopped half-way."""

    retryable = True


class TimedOut(TransportFailed, TimeoutError):
    """One of the four limits passed; `limit` is connect, first_byte, idle or total."""

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message, retryable=limit != "total")
        self.limit = limit


class BadReply(CallError):
    """What came back cannot be read."""


class Refused(CallError):
    """What came back is an error."""


class InvalidRequest(Refused):
    """The request is wrong as it stands."""


class ContextTooLong(InvalidRequest):
    """The input does not fit the model's context."""


class AuthRefused(Refused):
    """The key is wrong, expired or missing."""


class PermissionRefused(Refused):
    """The key is right and may not do this."""


class NotFound(Refused):
    """No such model or address."""


class Filtered(Refused):
    """The provider's content rules stopped it."""


class QuotaExhausted(Refused):
    """Balance or quota is used up; waiting does not mend it."""


class RateLimited(Refused):
    """Too many requests or tokens in a while."""

    retryable = True


class ConcurrencyLimited(RateLimited):
    """Too many requests at once."""


class TaskFailed(Refused):
    """A job was taken on and failed at the provider; `task` is its id."""


class ProviderFailed(Refused):
    """The provider failed; the request may be right."""

    retryable = True


class Overloaded(ProviderFailed):
    """The provider has no capacity at present."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: AuthRefused,
    402: QuotaExhausted,
    403: PermissionRefused,
    404: NotFound,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}
_RETRYABLE_STATUSES = {408: True, 409: True, 425: True, 501: False}


def refused(status: int) -> type[Refused]:
    """The class for an HTTP status that no code table knows better."""
    if found := _BY_STATUS.get(status):
        return found
    if status >= 500:
        return ProviderFailed
    return InvalidRequest if 400 <= status < 500 else Refused


def retryable_status(status: int) -> bool | None:
    """Whether a status asks for another try, where its class says otherwise (408, 501)."""
    return _RETRYABLE_STATUSES.get(status)


def refusal(name: str) -> type[Refused]:
    """The class of a provider's errors that is called *name*; ConfigError for no such class."""
    known = {each: cls for each, cls in globals().items() if _is_refusal(cls)}
    if name in known:
        found: type[Refused] = known[name]
        return found
    msg = f"{name!r} is no error of a provider{did_you_mean(name, known)}"
    raise ConfigError(msg)


def _is_refusal(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Refused)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'kimi'?"`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name.lower(), sorted(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
