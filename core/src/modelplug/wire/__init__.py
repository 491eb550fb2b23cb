"""
What codecs are written in: requests, replies, and flows that yield one and are sent the other.

A codec is pure. A call is a generator: it yields a `Request`, is sent the `Response` (or has
a CallError thrown in) and returns the result, so polling, uploads, token exchange and retries
are written once, and two short drivers in `transport` run them, sync and async. The idea is
httpx's `Auth.auth_flow`, made general.
"""

from modelplug.wire.codec import Codec, Decoder
from modelplug.wire.messages import (
    Blocking,
    Conversation,
    EventFlow,
    Flow,
    Request,
    Response,
    Together,
    Upgrade,
    changed,
)
from modelplug.wire.streams import EventDecoder
from modelplug.wire.tuning import TuneCall, TuneJob, TuningCodec

__all__ = [
    "Blocking",
    "Codec",
    "Conversation",
    "Decoder",
    "EventDecoder",
    "EventFlow",
    "Flow",
    "Request",
    "Response",
    "Together",
    "TuneCall",
    "TuneJob",
    "TuningCodec",
    "Upgrade",
    "changed",
]
