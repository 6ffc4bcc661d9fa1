"""Where lint's repo comes from: the Python files of a repo, or what is registered.

From the files, before `feast apply`: they are imported, as `feast apply` and `feast plan` do, in the repo's folder; so
they run with the rights of the user. From a registry: its messages are read as data. Feast would rebuild each
user-defined function by executing its text, or its pickle; lint does neither.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from feast import FeatureStore, utils
from feast.repo_operations import get_repo_files, parse_repo

from skew_ext.errors import RepoError
from skew_ext.linting.model import LintedRepo, Settings
from skew_ext.linting.places import Places
from skew_ext.linting.reading import Messages, read_repo
from skew_ext.linting.stores import DASK, SQLITE, offline_kind, online_kind
from skew_ext.repo import open_store

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents


def load(repo: FeatureStore | str | os.PathLike[str], fs_yaml_file: Path | None, *, registry: bool) -> LintedRepo:
    """Read a repo: the Python files of a folder, or with `registry`, and for an open store, what is registered.

    Raises
    ------
    RepoError
        There is no such repo, feature_store.yaml cannot be read, or a Python file of the repo raises.
    """
    if isinstance(repo, FeatureStore):
        return _from_registry(repo, settings_of(repo))
    root = Path(repo).resolve()
    if not root.is_dir():
        msg = f"no folder {repo}: name the Feast repo with -c/--chdir"
        raise RepoError(msg)
    path = root / (fs_yaml_file or utils.get_default_yaml_file_path(root))
    if not path.is_file():
        msg = f"{repo} is not a Feast repo: it has no {path.name}; name the repo with -c/--chdir"
        raise RepoError(msg)
    if registry:
        return _from_registry(open_store(root, path), read_settings(path))
    return _from_files(root, read_settings(path))


def read_settings(path: Path) -> Settings:
    """Read feature_store.yaml without importing the stores that it names; RepoError if it is no block of settings."""
    return _settings(path, _raw(path))


def settings_of(store: FeatureStore) -> Settings:
    """Give the settings of an open store, from whichever file or none they came."""
    config = store.config
    names = {"project": "project", "provider": "provider", "skew": "skew"}
    names |= {"offline_store": "offline_config", "online_store": "online_config"}
    raw = {key: getattr(config, name, None) for key, name in names.items()}
    return _settings(Path(config.repo_path or Path.cwd()).resolve() / "feature_store.yaml", raw)


def _settings(path: Path, raw: Mapping[str, Any]) -> Settings:
    offline, online = _block(raw.get("offline_store"), DASK), _block(raw.get("online_store"), SQLITE)
    return Settings(
        path=path,
        project=str(raw.get("project", "")),
        provider=str(raw.get("provider", "local")),
        offline=offline_kind(str(offline["type"])),
        online=online_kind(str(online["type"])),
        online_options=online,
        skew=raw.get("skew"),
    )


def _raw(path: Path) -> dict[str, Any]:
    try:
        # As Feast does: the environment's variables stand in the text.
        raw = yaml.safe_load(os.path.expandvars(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path} cannot be read: {' '.join(str(error).split())}"
        raise RepoError(msg) from None
    if not isinstance(raw, dict):
        msg = f"{path} holds no settings: a Feast repo's yaml has project, registry and provider at least"
        raise RepoError(msg)
    return raw


def _block(raw: Any, default: str) -> dict[str, Any]:
    if isinstance(raw, str):
        return {"type": raw}
    if raw is not None and not isinstance(raw, dict):
        raw = dict(raw)  # a store's own configuration: pairs of name and value
    return {"type": default, **(raw or {})}


def _from_registry(store: FeatureStore, settings: Settings) -> LintedRepo:
    project = settings.project or store.project
    nothing = f"nothing is registered for project {project!r}: run `feast apply`, or lint the repo's Python files"
    # Asked before it is opened: Feast makes a registry file that is not there.
    file = store.config.registry
    if file.registry_type == "file" and "://" not in file.path and not (settings.path.parent / file.path).is_file():
        raise RepoError(nothing)
    registry = store.registry.proto()

    def mine(message: Any) -> bool:
        return str(getattr(message, "spec", message).project) in ("", project)

    messages = Messages({kind: [m for m in getattr(registry, kind) if mine(m)] for kind in Messages.KINDS})
    messages.tags = next((dict(one.spec.tags) for one in registry.projects if one.spec.name == project), {})
    if not any(messages.by_kind.values()):
        raise RepoError(nothing)
    return read_repo(messages, settings, "registry")


def _from_files(root: Path, settings: Settings) -> LintedRepo:
    files = get_repo_files(root)
    if not files:
        msg = f"{root} has no Python files that define features: lint what is registered with --registry"
        raise RepoError(msg)
    with at_home(root):
        try:
            messages = _messages(parse_repo(root))
        except (Exception, SystemExit) as error:
            msg = f"the repo's Python files cannot be imported ({type(error).__name__}: {' '.join(str(error).split())})"
            raise RepoError(f"{msg}; `feast plan` would fail too") from error
    messages.places = Places(files).find
    return read_repo(messages, settings, "files")


def _messages(contents: RepoContents) -> Messages:
    messages = Messages({kind: [item.to_proto() for item in getattr(contents, kind)] for kind in Messages.KINDS})
    messages.tags = contents.projects[0].tags if contents.projects else {}
    return messages


@contextmanager
def at_home(root: Path) -> Iterator[None]:
    """Be in the repo's folder, as its Python files expect, and leave none of its modules behind.

    Every repo has a `views`: the modules of another that are loaded stand aside.
    """
    before, path, bytecode = Path.cwd(), list(sys.path), sys.dont_write_bytecode
    ours = {".".join(file.relative_to(root).with_suffix("").parts) for file in get_repo_files(root)}
    ours |= {name.rpartition(".")[0] for name in ours if "." in name}
    others = {name: sys.modules.pop(name) for name in ours & sys.modules.keys()}
    os.chdir(root)
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    try:
        # What the files print is no finding, and what they warn of is for `feast apply` to say.
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(before)
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for name in ours & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(others)
