"""The rules, in the order of their codes. A code is never given again: what is taken out leaves a gap."""

from __future__ import annotations

from typing import Final

from skew_ext.errors import SettingsError, nearest
from skew_ext.linting.rule import Rule
from skew_ext.linting.rules import on_demand, repo, services, sources, stores, ttl, types

RULES: Final[tuple[Rule, ...]] = (
    ttl.ttl_missing,
    ttl.ttl_below_look_back,
    ttl.ttl_below_two_intervals,
    ttl.ttl_truncated,
    ttl.key_ttl_below_view_ttl,
    sources.source_missing,
    sources.column_missing,
    sources.created_timestamp_missing,
    sources.naive_timestamp,
    sources.nanosecond_timestamp,
    sources.relative_path,
    sources.no_history,
    types.float32,
    types.type_differs_from_source,
    types.integer_with_nulls,
    types.join_key_types_differ,
    types.entity_type_missing,
    on_demand.not_shared,
    on_demand.pandas_mode,
    on_demand.singleton,
    on_demand.aggregation,
    on_demand.missing_name,
    on_demand.unrepeatable,
    on_demand.transform_not_registered,
    on_demand.batch_transform_not_in_training,
    stores.offline_store_loses_rows,
    stores.offline_store_repeats_rows,
    stores.composite_key_without_separator,
    stores.duckdb_feature_name,
    stores.sqlite_in_production,
    stores.remote_online_store,
    services.not_logged,
    services.logging_config_missing,
    services.sample_rate_ignored,
    services.feature_name_collision,
    services.full_names_lose_features,
    services.offline_view_served,
    services.inputs_not_logged,
    repo.tag_unreadable,
    repo.settings_invalid,
)

BY_CODE: Final = {one.code: one for one in RULES}
ALL: Final = "ALL"


def find_rule(text: str) -> Rule | None:
    """Give a rule by its code or name, in any case; None if there is none."""
    wanted = text.strip()
    return next((one for one in RULES if wanted.upper() == one.code or wanted.lower() == one.name), None)


def check_code(code: str, where: str) -> str:
    """Give a rule's code as it is written, or SettingsError that names the nearest; `where` says who wrote it."""
    if code not in BY_CODE:
        known = f"the codes are {RULES[0].code} to {RULES[-1].code}; `skew explain` lists them"
        raise SettingsError(f"{where}: {code!r} is not a rule{nearest(code.upper(), BY_CODE)}: {known}")
    return code
