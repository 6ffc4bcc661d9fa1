"""Lint: the selected rules over a repo, and what tags and settings ignore of what they found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from skew_ext.linting.config import LintConfig, read_config
from skew_ext.linting.loading import at_home, load
from skew_ext.linting.model import SETTINGS, Hit, LintedRepo
from skew_ext.linting.report import LintFinding, LintReport
from skew_ext.linting.rule import Rule

if TYPE_CHECKING:
    from feast import FeatureStore


def lint(
    repo: FeatureStore | str | PathLike[str],
    *,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    registry: bool = False,
    fs_yaml_file: Path | None = None,
) -> LintReport:
    """Check a Feast repo for what makes training and serving differ, before it does.

    Of a folder, the Python files are imported, as `feast plan` does, so that faults show before `feast apply`. With
    `registry`, and for an open store, the registered objects are read, as data: no function of theirs is run. The
    values of sources are never read: of local Parquet the schema and the footers, of other sources nothing.

    Parameters
    ----------
    repo
        The repo's folder, or a store.
    select, ignore
        Codes such as "SKW003", or "ALL". `select` replaces the one of `[tool.skew]` in pyproject.toml, `ignore` adds
        to it.
    registry
        Read what is registered in place of the Python files.
    fs_yaml_file
        Another feature_store.yaml; a relative path counts from the repo.

    Raises
    ------
    RepoError
        There is no such repo, or it cannot be loaded.
    SettingsError
        A code or a setting that there is not, with the nearest that there is.
    """
    folder = repo if isinstance(repo, (str, PathLike)) else repo.config.repo_path or Path.cwd()
    config = read_config(Path(folder).resolve(), select, ignore)
    linted = load(repo, fs_yaml_file, registry=registry)
    if not isinstance(repo, (str, PathLike)):
        return check(linted, config)  # an open store's process has its modules where it wants them
    with at_home(Path(repo).resolve()):
        return check(linted, config)


def check(repo: LintedRepo, config: LintConfig) -> LintReport:
    """Run the rules that the configuration selects over a repo that is loaded."""
    found = [(rule, _tagged(hit, repo)) for rule in config.rules() for hit in _distinct(rule.check(repo))]
    kept = [(rule, hit) for rule, hit in found if not config.ignores(rule, hit)]
    subjects = list(repo.subjects())
    return LintReport(
        project=repo.settings.project,
        origin=repo.origin,
        root=repo.settings.path.parent,
        findings=sorted((_finding(rule, hit) for rule, hit in kept), key=_order),
        checked=len(subjects),
        ignored=len(found) - len(kept),
        notes=[*_unread(repo), *_unmatched(config, (subject.name for subject in subjects))],
    )


def _distinct(hits: Iterable[Hit]) -> Iterable[Hit]:
    seen: set[tuple[str, str, str | None, str]] = set()
    for hit in hits:
        key = (hit.subject.kind, hit.subject.name, hit.feature, hit.message)
        if key not in seen:
            seen.add(key)
            yield hit


def _tagged(hit: Hit, repo: LintedRepo) -> Hit:
    """Give what is found in feature_store.yaml, which has no tags, the tags of the project."""
    return replace(hit, tags=repo.project.tags) if hit.subject.kind == SETTINGS else hit


def _finding(rule: Rule, hit: Hit) -> LintFinding:
    subject = hit.subject
    return LintFinding(
        rule.code,
        rule.name,
        rule.severity,
        subject.kind,
        subject.name,
        hit.feature,
        hit.message,
        rule.remedy,
        subject.place,
    )


def _order(finding: LintFinding) -> tuple[str, int, str, str, str]:
    path, line = ("", 0) if finding.place is None else (str(finding.place.path), finding.place.line)
    return path, line, finding.kind, finding.name, finding.code


def _unread(repo: LintedRepo) -> Iterable[str]:
    """Say of which sources nothing could be checked, since they are no local Parquet."""
    if repo.origin == "files" and not any((repo.entities, repo.views, repo.on_demand, repo.services)):
        yield "the Python files define no Feast object; --registry checks what is registered"
    remote = sorted({source.variety for source in repo.batch_sources.values() if source.file is None})
    if remote:
        yield f"the columns of sources that are no local Parquet ({', '.join(remote)}) were not looked at"


def _unmatched(config: LintConfig, names: Iterable[str]) -> Iterable[str]:
    for pattern in config.unmatched(names):
        yield f"per-object-ignore of [tool.skew] names {pattern!r}, and no object is called so"
