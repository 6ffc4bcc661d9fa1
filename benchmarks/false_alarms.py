"""How often clean windows alarm, and the smallest shift that is found.

    python benchmarks/false_alarms.py [--windows 1000] [--plot power.svg]

Clean windows: each window has 14 features of every kind and is set against one reference (the training set), with
nothing changed. A window with any verdict but "pass" is a false alarm. Sizes take turns. The series are in the order of
serving: one feature follows itself (autocorrelation 0.9 from row to row), and one has a daily season, for which a
window is a whole day; a window of a few hours of it does differ from a training set of whole days.

Power: for shifts of the mean, in standard deviations, and jumps of the null rate, the share of windows that are told,
by size of the window; and the smallest shift that is told in at least 90 % of windows. Below an effect of PSI 0.1 or
a fifth of a standard deviation nothing is told however many rows there are: that is the threshold, not the power.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.signal import lfilter

from skew_ext.statistics import Served, distribution_rows

REFERENCE_ROWS = 10_000
SIZES = (120, 300, 1_000, 5_000)
ZEROS, FLAGGED = 0.7, 0.03
SHIFTS = np.round(np.arange(0.0, 0.62, 0.04), 2)
NULLS_PER_SHIFT = 0.25
POWER_SIZES = {1_000: 100, 10_000: 40, 1_000_000: 2}
COLOURS = ("#d95f02", "#7570b3", "#1b9e77")

Random = np.random.Generator


def words(random: Random, rows: int, categories: int) -> pa.Array:
    """Draw categories by a Zipf law: a few are common, most are rare."""
    weights = 1 / np.arange(1, categories + 1)
    return pa.array(np.char.add("c", random.choice(categories, rows, p=weights / weights.sum()).astype(str)))


def with_nulls(random: Random, values: npt.NDArray[np.float64], share: float) -> pa.Array:
    """Make a share of the values null."""
    return pa.array(values, mask=random.random(len(values)) < share)


def season(random: Random, rows: int) -> npt.NDArray[np.float64]:
    """Give whole days: a sine of the hour, and noise."""
    hours = np.linspace(0, 2 * np.pi, rows, endpoint=False)
    noisy: npt.NDArray[np.float64] = 2 * np.sin(hours) + random.normal(size=rows)
    return noisy


def clean(random: Random, rows: int) -> dict[str, pa.Array]:
    """Give a window in which nothing changed."""
    normal = random.normal(size=rows)
    vectors = random.normal(0.3, 1, (rows, 16)).astype(np.float32)
    return {
        "normal": pa.array(normal),
        "lognormal": pa.array(random.lognormal(0, 1.5, rows)),
        "heavy_tail": pa.array(random.standard_t(2, rows)),
        "zero_inflated": pa.array(random.gamma(2, size=rows) * (random.random(rows) > ZEROS)),
        "counts": pa.array(random.poisson(1.5, rows)),
        "amount_in_cents": pa.array((random.lognormal(7, 1, rows) * 100).astype(np.int64)),
        "nulls": with_nulls(random, random.normal(size=rows), 0.1),
        "categories_5": words(random, rows, 5),
        "categories_50": words(random, rows, 50),
        "categories_5000": words(random, rows, 5000),
        "flag": pa.array(random.random(rows) < FLAGGED),
        "series": pa.array(lfilter([np.sqrt(1 - 0.9**2)], [1, -0.9], random.normal(size=rows + 100))[100:]),
        "daily": pa.array(season(random, rows)),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 16),
    }


def false_alarms(windows: int, random: Random, sizes: tuple[int, ...] = SIZES) -> tuple[int, Counter[str]]:
    """Give the number of clean windows with any warning, and the warnings by feature and size."""
    reference = clean(random, REFERENCE_ROWS)
    alarmed, by_feature = 0, Counter[str]()
    for number in range(windows):
        size = sizes[number % len(sizes)]
        window = clean(random, size)
        rows = distribution_rows(
            ((name, reference[name], column) for name, column in window.items()),
            served=Served(in_order=True),
            same_rows=False,
        )
        told = [f"{row.feature} ({size:,} rows): {row.verdict}" for row in rows if row.verdict != "pass"]
        alarmed += bool(told)
        by_feature.update(told)
    return alarmed, by_feature


def power(random: Random) -> dict[str, dict[int, list[float]]]:
    """Give the share of windows that are told, for each shift, by kind of shift and rows of the window."""
    told: dict[str, dict[int, list[float]]] = {"mean": {}, "null rate": {}}
    for rows, windows in POWER_SIZES.items():
        reference = random.normal(size=max(rows, REFERENCE_ROWS))
        for kind, shares in told.items():
            shares[rows] = []
            for shift in SHIFTS:
                found = 0
                for _ in range(windows):
                    served = random.normal(shift if kind == "mean" else 0.0, 1, rows)
                    mask = random.random(rows) < (shift * NULLS_PER_SHIFT if kind == "null rate" else 0.0)
                    columns = [("f", pa.array(reference), pa.array(served, mask=mask))]
                    found += distribution_rows(columns, served=Served(in_order=True))[0].verdict != "pass"
                shares[rows].append(found / windows)
    return told


def smallest(shares: list[float], scale: float) -> str:
    """Say the smallest shift from which nine windows in ten are told."""
    below = [place for place, share in enumerate(shares) if share < 0.9]  # noqa: PLR2004 - the custom is 0.8 or 0.9
    return "none" if below and below[-1] + 1 == len(shares) else f"{SHIFTS[below[-1] + 1] * scale:.2f}"


def plot(told: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Draw the power curves as SVG."""
    drawn = []
    for panel, (kind, by_rows) in enumerate(told.items()):
        left, scale = 60 + 380 * panel, 1.0 if kind == "mean" else NULLS_PER_SHIFT
        end = SHIFTS[-1] * scale
        label = "shift of the mean, standard deviations" if kind == "mean" else "null rate, from 0"
        drawn.append(f'<rect x="{left}" y="20" width="320" height="240" fill="none" stroke="#999"/>')
        middle = 'text-anchor="middle"'
        drawn += [f'<text x="{left + 320 * at}" y="275" {middle}>{at * end:g}</text>' for at in (0, 0.5, 1)]
        drawn += [f'<text x="{left - 4}" y="{264 - 240 * at}" text-anchor="end">{at:.0%}</text>' for at in (0, 0.5, 1)]
        drawn.append(f'<text x="{left + 160}" y="295" {middle}>{label}</text>')
        for place, (rows, shares) in enumerate(by_rows.items()):
            points = " ".join(
                f"{left + 320 * at / (len(shares) - 1):.1f},{260 - 240 * share:.1f}" for at, share in enumerate(shares)
            )
            drawn.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[place]}" stroke-width="2"/>')
            drawn.append(f'<text x="{left + 210}" y="{200 + 18 * place}" fill="{COLOURS[place]}">{rows:,} rows</text>')
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="780" height="310" font-family="sans-serif" font-size="12">'
    )
    title = '<text x="60" y="14">Share of windows that are told</text>'
    path.write_text("\n".join([opening, title, *drawn, "</svg>"]) + "\n", encoding="utf-8")


def main() -> None:
    """Run both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--plot", type=Path, help="draw the power curves here (SVG)")
    parser.add_argument("--no-power", action="store_true", help="only the clean windows")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    start = time.perf_counter()
    alarmed, by_feature = false_alarms(options.windows, random)
    print(f"{alarmed} of {options.windows:,} clean windows gave a warning ({time.perf_counter() - start:.0f} s)")
    for told, count in by_feature.most_common():
        print(f"  {count} {told}")
    if options.no_power:
        return
    told_of = power(random)
    print("\nsmallest shift that is told in 90 % of windows\n  rows        mean, sd   null rate from 0")
    for rows in POWER_SIZES:
        mean, nulls = smallest(told_of["mean"][rows], 1), smallest(told_of["null rate"][rows], NULLS_PER_SHIFT)
        print(f"  {rows:>9,}   {mean:>8}   {nulls:>8}")
    if options.plot:
        plot(told_of, options.plot)


if __name__ == "__main__":
    main()
