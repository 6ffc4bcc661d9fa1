"""Spark's Java: the machine's own, or the one that comes as a package, started as Spark starts it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from skew_ext.engines.spark.java import with_java

AS_SPARK_DOES = ["--add-modules=jdk.incubator.vector", "-XX:+IgnoreUnrecognizedVMOptions", "-Dname=two words"]


@pytest.fixture
def _no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # Set first, so that what `with_java` sets is undone too.
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.delenv("JAVA_HOME")


@pytest.mark.usefixtures("_no_java")
def test_without_a_java_spark_gets_the_packages() -> None:
    with_java()
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java"
    done = subprocess.run(
        [java, *AS_SPARK_DOES, "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True
    )
    assert "name = two words" in done.stderr


@pytest.mark.usefixtures("_no_java")
def test_a_java_home_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    with_java()
    assert os.environ["JAVA_HOME"] == "/opt/java"


def test_a_java_on_path_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.delenv("JAVA_HOME")
    with_java()
    assert "JAVA_HOME" not in os.environ
