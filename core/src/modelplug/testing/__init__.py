"""
The contract kit: what a plugin must do, as tests to inherit. Needs pytest.

    from modelplug.testing import OnlineContract

    class TestAcme(OnlineContract):
        plugin = "acme"
        model = "acme-1"
"""

from __future__ import annotations

import pytest

# Before the import of the modules with the tests, so that a failed assert shows its values.
pytest.register_assert_rewrite("modelplug.testing.online", "modelplug.testing.local")

from modelplug.testing.contract import OnlineContract  # noqa: E402
from modelplug.testing.fault_server import FaultServer, Reply, Request, in_turn  # noqa: E402
from modelplug.testing.leaks import CANARY, everything_logged, places_in_error  # noqa: E402
from modelplug.testing.local import LocalContract  # noqa: E402
from modelplug.testing.network import NetworkBlocked, block_network, outside_world  # noqa: E402
from modelplug.testing.replies import OPENAI, Expected, Recorded, Replies  # noqa: E402

__all__ = [
    "CANARY",
    "OPENAI",
    "Expected",
    "FaultServer",
    "LocalContract",
    "NetworkBlocked",
    "OnlineContract",
    "Recorded",
    "Replies",
    "Reply",
    "Request",
    "block_network",
    "everything_logged",
    "in_turn",
    "outside_world",
    "places_in_error",
]
