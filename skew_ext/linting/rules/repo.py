"""What is written for skew_ext itself: tags, and the settings in feature_store.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from skew_ext.baseline.plan import MATERIALIZE_EVERY_TAG, parse_interval
from skew_ext.errors import SettingsError, nearest
from skew_ext.linting.model import Hit, LintedRepo
from skew_ext.linting.rule import Example, rule
from skew_ext.linting.rules.ttl import LOOKBACK_TAG
from skew_ext.settings import settings_from
from skew_ext.transform.registered import FINGERPRINT_TAG, TRANSFORM_TAG, VERSION_TAG

IGNORE_TAG: Final = "skew.ignore"
_INTERVALS: Final = (MATERIALIZE_EVERY_TAG, LOOKBACK_TAG)
KNOWN_TAGS: Final = (*_INTERVALS, IGNORE_TAG, FINGERPRINT_TAG, TRANSFORM_TAG, VERSION_TAG)
PREFIX: Final = "skew."

_STATS: Final = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=8),
    schema=[Field(name="rating", dtype=Float64)], source=source,
    tags={tags},
)
"""


def ignored_codes(tags: str) -> list[str]:
    """Give the codes that a tag `skew.ignore` names: separated by commas or blanks."""
    return tags.replace(",", " ").split()


@rule(
    "SKW039",
    "tag-unreadable",
    "warn",
    reason="""skew_ext reads tags that begin with `skew.`. One that is misspelt, or whose value cannot be read, does
    nothing: the interval counts as not declared, the rule as not ignored.""",
    remedy="write intervals as 90s, 15m, 1h or 1d, and ignored rules as SKW003,SKW007",
    bad=Example(_STATS.format(tags='{"skew.materialize_every": "hourly"}')),
    good=Example(_STATS.format(tags='{"skew.materialize_every": "1h"}')),
)
def tag_unreadable(repo: LintedRepo) -> Iterator[Hit]:
    """A tag that begins with `skew.` is unknown, or cannot be read."""
    from skew_ext.linting.rules import BY_CODE  # noqa: PLC0415 - the table that this rule stands in

    for subject in repo.subjects():
        for tag, value in subject.tags.items():
            if tag.startswith(PREFIX) and tag not in KNOWN_TAGS:
                yield Hit(subject, f"tag {tag!r} means nothing{nearest(tag, KNOWN_TAGS)}")
            if tag in _INTERVALS and parse_interval(value) is None:
                yield Hit(subject, f"tag {tag} = {value!r} is no interval")
            for code in ignored_codes(value) if tag == IGNORE_TAG else ():
                if code not in BY_CODE:
                    yield Hit(subject, f"tag {tag} names {code!r}, which is not a rule{nearest(code.upper(), BY_CODE)}")


@rule(
    "SKW040",
    "settings-invalid",
    "fail",
    reason="""The `skew:` block of feature_store.yaml has a setting that is unknown or does not fit. The provider
    refuses to start with it, so the repo cannot serve.""",
    remedy="correct it: the message names the setting and the nearest right one",
    bad=Example(_STATS.format(tags="{}"), yaml="skew: {sample_rat: 0.5}"),
    good=Example(_STATS.format(tags="{}"), yaml="skew: {sample_rate: 0.5}"),
)
def settings_invalid(repo: LintedRepo) -> Iterator[Hit]:
    """The `skew:` block of feature_store.yaml does not fit."""
    try:
        settings_from(repo.settings.skew, repo.settings.path.parent, project=repo.settings.project)
    except SettingsError as error:
        yield Hit(repo.settings.line("skew"), str(error))
