"""`OnlineContract`: what every online provider must do, to be inherited by its tests."""

from __future__ import annotations

from modelplug.testing.online.answers import AnswerTests
from modelplug.testing.online.construction import ConstructionTests
from modelplug.testing.online.errors import ErrorTests
from modelplug.testing.online.secrets import SecretTests
from modelplug.testing.online.streams import StreamTests
from modelplug.testing.online.vectors import VectorTests


class OnlineContract(
    ConstructionTests, AnswerTests, StreamTests, ErrorTests, VectorTests, SecretTests
):
    """
    What every online provider must do. Inherit it in a class whose name begins with `Test`:

        class TestAcme(OnlineContract):
            plugin = "acme"
            model = "acme-1"

    All tests go through the public face against a loopback server that says documented
    bytes. `replies` names a folder of the provider's own; `wire = "own"` says that the
    kit's replies, which are OpenAI's, are not for it. A type that the manifest does not
    declare must be `Unsupported`. The attributes are explained in `OnlineBase`.
    """
