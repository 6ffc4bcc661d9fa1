"""What a destination takes from a process's environment: a DSN, a password, a variable in the Feast repo's yaml.

A shipper has the environment of the server that started it. So a server that comes with another one has to be told
from those before, without a secret in any file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUNDS = 2_000
_DIGITS = 8
_SETTINGS_FILE = "feature_store.yaml"


def fingerprint_of(destination: Mapping[str, Any]) -> str:
    """Return 32 bits of a slow hash of what a destination takes from this process's environment; empty if nothing.

    They tell one environment from another, and are too few to confirm a guess at a password.
    """
    found = _postgres(destination) if "dsn_env" in destination else _yaml(destination) if "repo" in destination else ""
    if not found:
        return ""
    salt = repr(sorted(destination.items())).encode()
    return hashlib.pbkdf2_hmac("sha256", found.encode("utf-8", "surrogateescape"), salt, _ROUNDS).hex()[:_DIGITS]


def _postgres(destination: Mapping[str, Any]) -> str:
    dsn = os.environ.get(str(destination["dsn_env"]), "")
    # What libpq takes where the DSN does not say it; without a DSN this process does not ship.
    others = sorted((name, value) for name, value in os.environ.items() if name.startswith("PG"))
    return repr((dsn, others)) if dsn else ""


def _yaml(destination: Mapping[str, Any]) -> str:
    path = Path(destination.get("yaml") or Path(destination["repo"]) / _SETTINGS_FILE)
    try:
        return os.path.expandvars(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        return ""
