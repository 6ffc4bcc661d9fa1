"""Which rules apply: [tool.skew], options, patterns; and what is said of codes that there are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skew_ext.errors import SettingsError
from skew_ext.linting.config import LintConfig, read_config
from skew_ext.linting.model import Hit, Subject
from skew_ext.linting.rules import BY_CODE, RULES, find_rule
from skew_ext.linting.rules.repo import KNOWN_TAGS

RULE = BY_CODE["SKW003"]
SOURCE = Path(__file__).resolve().parents[2] / "skew_ext"


def configured(folder: Path, text: str) -> LintConfig:
    (folder / "pyproject.toml").write_text(text)
    return read_config(folder, None, None)


def codes(config: LintConfig) -> list[str]:
    return [rule.code for rule in config.rules()]


def test_every_rule_applies_unless_said_otherwise(tmp_path: Path) -> None:
    assert codes(read_config(tmp_path, None, None)) == [rule.code for rule in RULES]


def test_select_and_ignore(tmp_path: Path) -> None:
    config = configured(tmp_path, '[tool.skew]\nselect = ["SKW001", "SKW003"]\nignore = ["SKW001"]\n')
    assert codes(config) == ["SKW003"]
    assert codes(read_config(tmp_path, ["SKW007", "SKW003"], ["SKW003"])) == ["SKW007"]
    assert codes(read_config(tmp_path, ["ALL"], None)) == [rule.code for rule in RULES if rule.code != "SKW001"]
    assert codes(read_config(tmp_path, None, ["ALL"])) == []


def test_the_nearest_file_with_the_section_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.skew]\nselect = ["SKW003"]\n')
    inner = tmp_path / "project" / "repo"
    inner.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert codes(read_config(inner, None, None)) == ["SKW003"]
    assert codes(configured(inner, '[tool.skew]\nselect = ["SKW009"]\n')) == ["SKW009"]


def test_tables_of_other_commands_are_left_alone(tmp_path: Path) -> None:
    assert codes(configured(tmp_path, '[tool.skew]\nselect = ["SKW003"]\n[tool.skew.other]\nx = 1\n')) == ["SKW003"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool.skew]\nselect = ["SKW03"]', r"tool\.skew\.select: 'SKW03' is not a rule \(did you mean 'SKW03\d'\?\)"),
        ('[tool.skew]\nignore = ["skw003"]', "did you mean 'SKW003'"),
        ('[tool.skew]\nignore = "SKW003"', "must be a list of codes"),
        ('[tool.skew]\nignored = ["SKW003"]', r"ignored is not a setting \(did you mean 'ignore'\?\)"),
        ('[tool.skew.per-object-ignore]\nstats = ["SKW999"]', "per-object-ignore.stats: 'SKW999' is not a rule"),
        ('[tool.skew.per-object-ignore]\nstats = "SKW003"', "must be a list of codes"),
        ('[tool.skew]\nper-object-ignore = ["SKW003"]', "must be a table"),
        ("[tool.skew\n", "cannot be read"),
        ("tool = 1", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        configured(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_an_option_names_itself(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--select: 'SKW'"):
        read_config(tmp_path, ["SKW"], None)


@pytest.mark.parametrize(
    ("tag", "ignored"),
    [
        ("SKW003", True),
        ("SKW001,SKW003", True),
        ("SKW001, SKW003", True),
        ("SKW001 SKW003", True),
        ("ALL", True),
        ("SKW0031", False),
        ("SKW001", False),
        ("", False),
    ],
)
def test_tags_of_the_object_and_of_the_feature(tag: str, ignored: bool) -> None:  # noqa: FBT001 - a table's cell
    on_object = Hit(Subject("feature view", "stats", {"skew.ignore": tag}), "message")
    on_feature = Hit(Subject("feature view", "stats"), "message", "rating", {"skew.ignore": tag})
    assert LintConfig().ignores(RULE, on_object) is ignored
    assert LintConfig().ignores(RULE, on_feature) is ignored


def test_patterns_of_object_names(tmp_path: Path) -> None:
    config = configured(tmp_path, '[tool.skew.per-object-ignore]\n"legacy_*" = ["SKW003"]\n"gone" = ["ALL"]\n')
    assert config.ignores(RULE, Hit(Subject("feature view", "legacy_stats"), "message"))
    assert not config.ignores(RULE, Hit(Subject("feature view", "stats"), "message"))
    assert config.unmatched(["legacy_stats", "stats"]) == ["gone"]


@pytest.mark.parametrize("text", ["SKW003", "skw003", " SKW003 ", "ttl-below-two-intervals", "TTL-below-two-intervals"])
def test_a_rule_is_found_by_code_and_by_name(text: str) -> None:
    assert find_rule(text) is RULE


def test_every_tag_that_skew_ext_reads_is_known() -> None:
    """A tag that another module begins to read must not be called meaningless."""
    read = {
        name
        for file in SOURCE.rglob("*.py")
        for name in re.findall(r'^[A-Z_]*TAG[A-Z_]*(?:: Final)? = "(skew\.[a-z_.]+)"', file.read_text(), re.MULTILINE)
    }
    assert len(read) >= 5
    assert read <= set(KNOWN_TAGS)
