"""A hook answers an incident: a command that gets it as JSON on standard input, or a webhook that gets it by POST."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from skew_ext.errors import SettingsError

if TYPE_CHECKING:
    from skew_ext.watch.incident import Incident

logger = logging.getLogger("skew_ext")
PATIENCE_SECONDS = 60.0
LONGEST_ANSWER = 2000
_SUCCESS = 300


class HookError(Exception):
    """The hook could not be run, or said that it failed; the message shows neither its command nor its address."""


class Hook:
    """Calls a command (no shell: quoting as in one, and nothing else) or a URL with `http://` or `https://`.

    It gets `{"schema": 1, "event": "opened" | "closed" | "proposed", "incident": {...}}`. What it says is kept as the
    incident's answer. A command that ends with another code than 0, or a status of 300 and more, is tried again.
    """

    def __init__(self, target: str) -> None:
        self._url = target if target.startswith(("http://", "https://")) else None
        try:
            self._command = [] if self._url else shlex.split(target)
        except ValueError as error:
            msg = f"the hook is no command ({error}): quote it as for a shell"
            raise SettingsError(msg) from None

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._url or self._command)

    def call(self, incident: Incident, event: str) -> str:
        """Tell the hook; give what it answers.

        Raises
        ------
        HookError
            It cannot be run, or failed.
        """
        content = json.dumps({"schema": 1, "event": event, "incident": incident.to_json()}).encode()
        answer = self._run(content) if self._url is None else self._post(self._url, content)
        return answer.decode("utf-8", "replace").strip()[:LONGEST_ANSWER]

    def _run(self, content: bytes) -> bytes:
        try:
            done = subprocess.run(
                self._command, input=content, capture_output=True, timeout=PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            msg = f"it took longer than {PATIENCE_SECONDS:g} s"
            raise HookError(msg) from None
        except OSError as error:
            raise HookError(str(error.strerror)) from None
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            msg = f"exit code {done.returncode}{': ' if last else ''}{''.join(last)}"
            raise HookError(msg)
        return done.stdout

    @staticmethod
    def _post(url: str, content: bytes) -> bytes:
        request = urllib.request.Request(url, content, {"Content-Type": "application/json"})  # noqa: S310 - checked
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 - http(s) alone
                if response.status >= _SUCCESS:
                    msg = f"HTTP status {response.status}"
                    raise HookError(msg)
                return bytes(response.read(4 * LONGEST_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                msg = f"HTTP status {error.code}"
            raise HookError(msg) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None)
            raise HookError(type(reason if isinstance(reason, Exception) else error).__name__) from None
