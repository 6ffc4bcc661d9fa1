"""docs/transforms.md, run from top to bottom: the files that it names are written, and its Python is one program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "transforms.md"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write(folder: Path) -> Path:
    """Write the guide's files and its program, which has each line where the page has it."""
    text = GUIDE.read_text()
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        language, name, code = block.groups()
        if name:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
            if path.parent != folder:
                (path.parent / "__init__.py").touch()
        elif language == "python":
            first = text.count("\n", 0, block.start(3))
            code_lines = code.splitlines()
            lines[first : first + len(code_lines)] = code_lines
    program = folder / "transforms_guide.py"
    program.write_text("\n".join(lines))
    return program


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_guide_holds(tmp_path: Path) -> None:
    program = write(tmp_path)
    assert program.read_text().count("assert") >= 10
    done = run(tmp_path, str(program))
    assert done.returncode == 0, done.stderr


def test_the_examples_in_the_guides_transforms_hold(tmp_path: Path) -> None:
    write(tmp_path)
    modules = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("transforms/*.py"))
    done = run(tmp_path, "-m", "doctest", "-v", *modules)
    assert (done.returncode, done.stdout.count("Trying:\n") >= 4) == (0, True), done.stdout


def test_the_guides_transforms_pass_their_check(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(
        tmp_path, "-m", "skew_ext.cli.main", "transforms", "check", "transforms", "--no-feast", "--examples", "30"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 the same everywhere" in done.stdout


def test_the_links_of_the_guide_lead_somewhere() -> None:
    for target in re.findall(r"\]\((\.\./[^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target
