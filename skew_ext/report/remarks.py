"""What stands beside the numbers, in words: of decisions, distributions and TTLs; for every form that people read."""

from __future__ import annotations

from skew_ext.model import AuditReport, DistributionRow, Impact, TtlAdvice
from skew_ext.report import words


def decisions(impact: Impact | None) -> str:
    """Say what the differing cells did to the model's decisions; nothing where none changed or none was scored."""
    if impact is None or impact.error is not None or not impact.overall.flipped:
        return ""
    whole = impact.overall
    most = next((f", most of them by {one.what}" for one in impact.by_cause[:1] if len(impact.by_cause) > 1), "")
    rows = f"{words.count(whole.flipped)} of {words.plural(impact.rows, 'row')} ({words.percent(whole.share)})"
    return f"{rows} got another decision than with training's values, at a threshold of {impact.threshold:g}{most}"


def steady(report: AuditReport) -> str:
    """Say that no decision changed, where the rows were scored and none did."""
    impact = report.impact
    if impact is None or impact.error is not None or impact.overall.flipped:
        return ""
    largest = words.figure(impact.overall.largest_change)
    moved = f"; scores of {words.plural(impact.overall.rows, 'row')} moved by at most {largest}"
    return f"no decision changed at a threshold of {impact.threshold:g}{moved if impact.overall.rows else ''}"


def of_distribution(row: DistributionRow) -> list[str]:
    """Say what a row's columns do not: how the change came, what lies outside the reference, why it was not judged."""
    return [said for said in (_change(row), *_shares(row), *_embedding(row), _constant(row), row.note or "") if said]


def of_thresholds(values: dict[str, float]) -> str:
    """Give thresholds in a line, by their names."""
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def of_ttl(advice: TtlAdvice) -> str:
    """Say the quantiles that a TTL is advised from."""
    told = {"between a key's events": advice.gap, "from event to arrival": advice.arrival}
    return "; ".join(
        f"{name}: {', '.join(f'{quantile} {words.duration(value)}' for quantile, value in values.items())}"
        for name, values in told.items()
        if values
    )


def _change(row: DistributionRow) -> str:
    if row.change is None:
        return ""
    if row.since is not None and row.until is not None:
        return f"{row.change}, {words.span(row.since, row.until)}"
    since = f" since {words.moment(row.since)}" if row.since is not None else ""
    until = f" until {words.moment(row.until)}" if row.until is not None else ""
    return f"{row.change}{since}{until}"


def _shares(row: DistributionRow) -> list[str]:
    told = {
        "outside the reference's range": row.out_of_range,
        "unseen in the reference": row.unseen,
        "of another dimension": row.wrong_dimension,
    }
    return [f"{words.percent(share)} {what}" for what, share in told.items() if share]


def _embedding(row: DistributionRow) -> list[str]:
    told = [
        ("cosine distance", row.cosine),
        ("norm ratio", row.norm_ratio),
        ("KS known to", row.ks_error or None),  # 0 is an exact one, of which there is nothing to say
    ]
    return [f"{name} {words.figure(value)}" for name, value in told if value is not None]


def _constant(row: DistributionRow) -> str:
    sides = [side for side, same in zip(("the reference", "what was served"), row.constant, strict=True) if same]
    return f"constant in {' and in '.join(sides)}" if sides else ""
