"""
Why an engine did not start: a table from what engines write to cause and mend.

Engines tell it in prose alone, so prose is searched here, which modelplug does nowhere else.
Rows are tried in order, the whole log for each: a memory error that a later traceback wraps
in "engine core failed" is still found first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

PORT_TAKEN = "port"


@frozen
class Failure:
    """
    A row. `pattern` is searched, without regard to case, in the log; `cause` and `mend` may
    use its named groups in braces.
    """

    name: str
    pattern: str
    cause: str
    mend: str


@frozen
class Diagnosis:
    """`name` of the row, or empty where no row fits; `cause` and `mend` for people."""

    name: str
    cause: str
    mend: str


FAILURES: tuple[Failure, ...] = (
    Failure(
        "program",
        r"^modelplug: cannot run '(?P<what>[^']+)': (?P<why>.+)$",
        "the program {what!r} cannot be run: {why}",
        "check the path, or the option python",
    ),
    Failure(
        PORT_TAKEN,
        r"address already in use|couldn't bind HTTP server socket|EADDRINUSE"
        r"|error while attempting to bind on address",
        "another program has taken its port",
        "start it again",
    ),
    Failure(
        "gpu-memory",
        r"CUDA out of memory|cudaMalloc failed: out of memory|OutOfMemoryError"
        r"|hipErrorOutOfMemory|No available memory for the cache blocks"
        r"|Free memory on device .{0,80} is less than desired"
        r"|allocating .{1,40} MiB on device \d+: .*out of memory",
        "the memory of the GPU is not enough",
        "free it, or take smaller weights, a shorter context or fewer layers on the GPU",
    ),
    Failure(
        "context",
        r"larger than the maximum number of tokens that can be stored in KV cache"
        r"|max_model_len \S+ is greater than the derived max_model_len",
        "the context asked for is longer than the memory or the model allows",
        "ask for a shorter context",
    ),
    Failure(
        "memory",
        r"^MemoryError|Cannot allocate memory|std::bad_alloc|can't allocate memory"
        r"|failed to allocate (?:buffer|memory)|alloc(?:ate)?_(?:tensor_range|buffer): failed"
        r"|failed to allocate .{0,40}buffer|Unable to allocate",
        "memory is not enough",
        "close programs, or take smaller weights or a shorter context",
    ),
    Failure(
        "disk",
        r"No space left on device",
        "the disk is full",
        "free some space",
    ),
    Failure(
        "gated",
        r"gated repo|Access to model \S+ is restricted",
        "the weights are behind a licence that was not accepted on the hub",
        "accept it on the model's page, then set the hub's token",
    ),
    Failure(
        "architecture",
        r"unknown model architecture: '(?P<what>[^']+)'",
        "this engine does not know the architecture {what!r}",
        "upgrade the engine, or take another one",
    ),
    Failure(
        "architecture",
        r"Model architectures (?P<what>\[[^\]]*\]) (?:are|failed)"
        r"|model type `(?P<type>[^`]+)` but Transformers does not recognize",
        "this engine does not know the architecture of these weights",
        "upgrade the engine, or take another one",
    ),
    Failure(
        "foreign-code",
        r"trust_remote_code=True|requires you to execute the .{0,40}file in that repo",
        "the weights need code of their own, which runs only where it is allowed",
        "pass trust_remote_code=True if you trust whoever made them",
    ),
    Failure(
        "no-file",
        r"(?:failed to open GGUF file|gguf_init_from_file: failed to open) '(?P<what>[^']+)'"
        r"(?! \(Permission denied)",
        "there is no weights file {what!r}",
        "check the path",
    ),
    Failure(
        "permission",
        r"(?:failed to open GGUF file '|PermissionError: .{0,40}')(?P<what>[^']+)'",
        "{what!r} may not be read",
        "change its permissions or its owner",
    ),
    Failure(
        "weights",
        r"(?s:(?:invalid magic characters|not within the file bounds|corrupted or incomplete"
        r"|failed to read (?:key|tensor|magic)|tensor \S+ has invalid).*?"
        r"failed to load model,? '(?P<what>[^'\n]+)')",
        "the weights file {what!r} is damaged or incomplete",
        "fetch it again",
    ),
    Failure(
        "weights",
        r"invalid magic characters|not within the file bounds|corrupted or incomplete"
        r"|HeaderTooLarge|HeaderTooSmall|InvalidHeader|MetadataIncompleteBuffer"
        r"|SafetensorError|file is truncated",
        "the weights are damaged or incomplete",
        "fetch them again",
    ),
    Failure(
        "weights",
        r"Failed to load model from file: (?P<what>\S.*)$",
        "the weights file {what!r} cannot be loaded",
        "fetch it again, or upgrade the engine",
    ),
    Failure(
        "template",
        r"tokenizer\.chat_template is not set|no chat template|chat template.{0,40}not found"
        r"|Unable to generate parser for this template|failed to initialize chat template"
        r"|chat template parsing error",
        "there is no chat template that this engine can use",
        "give another one by the option chat_template",
    ),
    Failure(
        "tool-parser",
        r"invalid tool call parser|tool choice requires --enable-auto-tool-choice",
        "the parser of tool calls is missing or unknown",
        "name the model family's parser by the engine's option",
    ),
    Failure(
        "module",
        r"(?:ModuleNotFoundError: No module named '(?P<what>[^']+)'"
        r"|No module named (?P<bare>[\w.]+)$)",
        "its interpreter lacks a Python module ({what}{bare})",
        "install it there, or name another interpreter by the option python",
    ),
    Failure(
        "library",
        r"(?:error while loading shared libraries: |ImportError: |OSError: )"
        r"(?P<what>[^\s:]+): (?:cannot open shared object file|version)",
        "the system library {what!r} is missing or too old",
        "install it",
    ),
    Failure(
        "driver",
        r"CUDA driver version is insufficient|no CUDA-capable device|NVIDIA driver .{0,40}too old"
        r"|no kernel image is available|Failed to infer device type|No CUDA GPUs are available",
        "no GPU that this engine's build can use was found",
        "mend the driver, or install the engine's build for this machine",
    ),
    Failure(
        "argument",
        r"error: (?P<what>unrecognized arguments?: .+|argument .+|the following arguments .+)$",
        "it does not accept its arguments: {what}",
        "check the options against the engine's version",
    ),
    Failure(
        "files",
        r"Too many open files",
        "too many files are open",
        "raise the limit (ulimit -n)",
    ),
    Failure(
        "import",
        r"^(?P<what>ImportError: .+)$",
        "its Python packages do not fit together: {what}",
        "reinstall the engine in an environment of its own",
    ),
)

_SIGNALS = {
    4: ("illegal", "this CPU lacks an instruction that it was built with", "take another build"),
    9: (
        "killed",
        "it was killed by signal 9, as the kernel does when memory runs out",
        "close programs, or take smaller weights or a shorter context",
    ),
    11: ("crashed", "it crashed (signal 11)", "upgrade the engine, and report it to its authors"),
}
_TELLING = re.compile(
    r"^\s*(?:[\w.]*(?:Error|Exception)\b.*|.*\b(?:error|fatal|failed)\b.*)$", re.I
)


def diagnose(
    lines: Sequence[str], outcome: str, exit_status: int | None, more: Iterable[Failure] = ()
) -> Diagnosis:
    """
    The cause in a log's *lines*, else in how the engine ended. *more* rows come first.

    *outcome* says how it ended, for the case that nothing else is known.
    """
    text = "\n".join(lines)
    for row in (*more, *FAILURES):
        if found := re.search(row.pattern, text, re.IGNORECASE | re.MULTILINE):
            groups = {name: value or "" for name, value in found.groupdict().items()}
            return Diagnosis(row.name, row.cause.format_map(groups), row.mend)
    if exit_status is not None and -exit_status in _SIGNALS:
        return Diagnosis(*_SIGNALS[-exit_status])
    said = next((line.strip() for line in reversed(lines) if _TELLING.match(line)), "")
    cause = f"{outcome}, saying {said!r}" if said else outcome
    return Diagnosis("", cause, "see its log")
