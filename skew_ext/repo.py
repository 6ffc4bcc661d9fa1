"""Open a Feast repo and find things in it, with errors that name what is missing and the nearest there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feast import FeatureStore, utils
from feast.errors import FeatureServiceNotFoundException
from feast.repo_config import FeastConfigError

from skew_ext.errors import RepoError, nearest
from skew_ext.serving.provider import repo_settings

if TYPE_CHECKING:
    from os import PathLike

    from feast import FeatureService

    from skew_ext.settings import SkewSettings


def open_store(repo: FeatureStore | str | PathLike[str], fs_yaml_file: Path | None = None) -> FeatureStore:
    """Give the feature store of a repo's folder; a store is given back as it is.

    Raises
    ------
    RepoError
        There is no such folder, or no usable feature_store.yaml in it.
    """
    if isinstance(repo, FeatureStore):
        return repo
    path = Path(repo)
    yaml = fs_yaml_file or utils.get_default_yaml_file_path(path)
    if not Path(yaml).is_file():
        msg = f"{path} is not a Feast repo: it has no {Path(yaml).name}; name the repo with -c/--chdir"
        raise RepoError(msg)
    try:
        return FeatureStore(repo_path=str(path), fs_yaml_file=Path(yaml))
    except (FeastConfigError, ValueError, TypeError) as error:
        msg = f"{yaml} cannot be used: {' '.join(str(error).split())}"
        raise RepoError(msg) from None


def settings_of(store: FeatureStore) -> SkewSettings:
    """Give the store's `skew:` settings; SettingsError if they do not fit."""
    return repo_settings(store.config)


def feature_service(store: FeatureStore, name: str) -> FeatureService:
    """Give a feature service of the store's registry; RepoError names the nearest if there is none of that name."""
    try:
        return store.get_feature_service(name)
    except FeatureServiceNotFoundException:
        known = sorted(service.name for service in store.list_feature_services())
        there = f"it has: {', '.join(known)}" if known else "it has none: run `feast apply`"
        msg = f"no feature service {name!r} in project {store.project!r}{nearest(name, known)}; {there}"
        raise RepoError(msg) from None
