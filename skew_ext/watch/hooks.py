"""A hook answers an incident: a command that gets it as JSON on standard input, or a webhook that gets it by POST."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from skew_ext.errors import SettingsError
from skew_ext.text import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.watch.incident import Incident

logger = logging.getLogger("skew_ext")
PATIENCE_SECONDS = 60.0
LONGEST_ANSWER = 2000
LONGEST_ERROR = 2000
LONGEST_VARIABLE = 1000
ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ")
"""What a command gets of the environment: not the DSNs and tokens that are there for the watch."""
_SUCCESS = 300


class HookError(Exception):
    """The hook could not be run, or said that it failed; the message shows neither its command nor its address."""


class Hook:
    """Calls a command (no shell: quoting as in one, and nothing else) or a URL with `http://` or `https://`.

    It gets `{"schema": 1, "event": "opened" | "closed" | "proposed", "incident": {...}}`. What it says is kept as the
    incident's answer. A command that ends with another code than 0, or a status of 300 and more, is tried again.

    A command has `SKEW_EVENT`, `SKEW_INCIDENT_ID`, `SKEW_FEATURE_SERVICE`, `SKEW_GROUP`, `SKEW_CAUSE` and
    `SKEW_SEVERITY` in its environment, which is `ENVIRONMENT` and the variables named in `passed` otherwise. What it
    writes to standard error is in the log, with its exit code.
    """

    def __init__(self, target: str, passed: Sequence[str] = ()) -> None:
        self._passed = (*ENVIRONMENT, *passed)
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
        answer = self._run(content, incident, event) if self._url is None else self._post(self._url, content)
        return answer.decode("utf-8", "replace").strip()[:LONGEST_ANSWER]

    def _run(self, content: bytes, incident: Incident, event: str) -> bytes:
        try:
            done = subprocess.run(
                self._command,
                input=content,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
                check=False,
                env=self._environment(incident, event),
            )
        except subprocess.TimeoutExpired as error:
            msg = f"it took longer than {PATIENCE_SECONDS:g} s{_said(error.stderr)}"
            raise HookError(msg) from None
        except OSError as error:
            raise HookError(str(error.strerror)) from None
        if done.returncode:
            msg = f"exit code {done.returncode}{_said(done.stderr)}"
            raise HookError(msg)
        if done.stderr.strip():
            logger.info("the hook for %s (%s): exit code 0%s", incident.id, event, _said(done.stderr))
        return done.stdout

    def _environment(self, incident: Incident, event: str) -> dict[str, str]:
        known = {name: os.environ[name] for name in self._passed if name in os.environ}
        about = {
            "SKEW_EVENT": event,
            "SKEW_INCIDENT_ID": incident.id,
            "SKEW_FEATURE_SERVICE": incident.feature_service,
            "SKEW_GROUP": incident.group,
            "SKEW_CAUSE": incident.cause,
            "SKEW_SEVERITY": incident.severity,
        }
        # Names are data: a variable takes no NUL, and there is an end to what an environment takes.
        return {**known, **{name: brief(value, LONGEST_VARIABLE) for name, value in about.items()}}

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


def _said(stderr: bytes | None) -> str:
    """Return the end of what a command wrote to standard error, in one line; its last words say the most."""
    last = (stderr or b"").strip()
    text = brief(last[-LONGEST_ERROR:].decode("utf-8", "replace"), 2 * LONGEST_ERROR)
    return f": {'…' if len(last) > LONGEST_ERROR else ''}{text}" if text else ""
