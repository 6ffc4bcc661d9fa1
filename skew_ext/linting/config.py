"""Which rules apply: `[tool.skew]` of pyproject.toml, the command's options, and the tags of the objects."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from skew_ext.errors import SettingsError, nearest
from skew_ext.linting.model import Hit
from skew_ext.linting.rule import Rule
from skew_ext.linting.rules import ALL, RULES, check_code
from skew_ext.linting.rules.repo import IGNORE_TAG, ignored_codes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SELECT: Final = "select"
IGNORE: Final = "ignore"
PER_OBJECT: Final = "per-object-ignore"
KEYS: Final = (SELECT, IGNORE, PER_OBJECT)


@dataclass(frozen=True)
class LintConfig:
    """`select` and `ignore` hold codes or ALL; `per_object` gives the codes to ignore by a pattern of object names."""

    select: frozenset[str] = frozenset({ALL})
    ignore: frozenset[str] = frozenset()
    per_object: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def rules(self) -> list[Rule]:
        """Give the rules that are selected and not ignored, in the order of their codes."""
        if ALL in self.ignore:
            return []
        return [one for one in RULES if (ALL in self.select or one.code in self.select) and one.code not in self.ignore]

    def ignores(self, rule: Rule, hit: Hit) -> bool:
        """Whether a tag of the object or of the feature, or a pattern of its name, ignores the rule there."""
        tagged = (*ignored_codes(hit.subject.tags.get(IGNORE_TAG, "")), *ignored_codes(hit.tags.get(IGNORE_TAG, "")))
        if rule.code in tagged or ALL in tagged:
            return True
        codes = (codes for pattern, codes in self.per_object.items() if fnmatchcase(hit.subject.name, pattern))
        return any(rule.code in given or ALL in given for given in codes)

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """Give the patterns that match none of the objects' names."""
        there = set(names)
        return [one for one in self.per_object if not any(fnmatchcase(name, one) for name in there)]


def read_config(root: Path, select: Iterable[str] | None, ignore: Iterable[str] | None) -> LintConfig:
    """Read the nearest pyproject.toml with a `[tool.skew]`, from `root` upwards; what is given here stands over it.

    `select` replaces the file's, `ignore` adds to it.

    Raises
    ------
    SettingsError
        The file is no TOML, or names a key or a code that there is not: with the nearest that there is.
    """
    path, raw = _section(root)
    for key, value in raw.items():
        # Another table is another command's.
        if key not in KEYS and not isinstance(value, dict):
            msg = f"{path}: tool.skew.{key} is not a setting{nearest(key, KEYS)}; the settings are: {', '.join(KEYS)}"
            raise SettingsError(msg)
    where = f"{path}: tool.skew"
    chosen = _codes(raw.get(SELECT, [ALL]), f"{where}.{SELECT}") if select is None else _codes(select, "--select")
    ignored = _codes(raw.get(IGNORE, []), f"{where}.{IGNORE}") | _codes(ignore or (), "--ignore")
    return LintConfig(chosen, ignored, _per_object(raw.get(PER_OBJECT, {}), f"{where}.{PER_OBJECT}"))


def _section(root: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (root, *root.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("skew")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
            msg = f"{path} cannot be read: {error}; correct it"
            raise SettingsError(msg) from None
        if isinstance(raw, dict):
            return path, raw
    return root / "pyproject.toml", {}


def _codes(given: Any, where: str) -> frozenset[str]:
    if isinstance(given, (str, dict)) or not isinstance(given, Iterable):
        msg = f'{where} must be a list of codes, as ["SKW003"], not {given!r}'
        raise SettingsError(msg)
    return frozenset(code if code == ALL else check_code(str(code), where) for code in given)


def _per_object(given: Any, where: str) -> dict[str, frozenset[str]]:
    if not isinstance(given, dict):
        msg = f'{where} must be a table of object names and codes, as "stats" = ["SKW003"], not {given!r}'
        raise SettingsError(msg)
    return {pattern: _codes(codes, f"{where}.{pattern}") for pattern, codes in given.items()}
