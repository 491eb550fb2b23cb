"""Asks an engine on loopback whether it serves yet. No proxy is ever asked: it is http.client."""

from __future__ import annotations

import http.client

from attrs import frozen

from modelplug.types import Secret

TIMEOUT = 2.0


@frozen
class Probe:
    """
    What to ask: *ready* answers 200 once the engine serves, and then *base*`/models` must
    not refuse the token, or it is another program that has taken the port.
    """

    host: str
    port: int
    token: Secret
    ready: str
    base: str

    def __call__(self) -> tuple[bool, str]:
        """Whether it serves, and what it said, in words."""
        models = f"{self.base}/models"
        status = self._get(self.ready)
        if status == 404:
            status = self._get(models)
        elif status == 200 and self.ready != models:
            # An engine need not have the route: only a refusal tells something.
            listed = self._get(models)
            status = listed if listed in (401, 403) else 200
        if status is None:
            return False, "it did not answer"
        return status == 200, f"it answered HTTP {status}"

    def _get(self, path: str) -> int | None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            headers = {"Authorization": f"Bearer {self.token.reveal()}"}
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read(65536)
        except (OSError, http.client.HTTPException):
            return None
        else:
            return response.status
        finally:
            connection.close()
