"""The repo that benchmarks run on: embedded stores in a folder, and lookups logged without a shipper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def write_config(folder: Path, provider: str = "skew_ext.SkewProvider") -> None:
    """Write the folder's feature_store.yaml. Feast's own providers pass over its `skew` section."""
    config = {
        "project": "bench",
        "provider": provider,
        "registry": str(folder / "registry.db"),
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
        "skew": {"start_shipper": False},
    }
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
