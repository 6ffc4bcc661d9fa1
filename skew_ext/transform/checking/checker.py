"""Check shared transforms: every way to run them gives the same to the bit, and nothing in them is impure."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from skew_ext.errors import TransformError
from skew_ext.transform.checking.findings import Checked, Finding, FoundError
from skew_ext.transform.checking.impurity import impurities
from skew_ext.transform.checking.paths import BATCHES, ROW, Results, Row, by_row, compare, unlike
from skew_ext.transform.checking.watching import Watcher
from skew_ext.transform.contract import Contract

if TYPE_CHECKING:
    from skew_ext.transform.checking.feast_paths import FeastRepo

EXAMPLES: Final = 100
"""How many batches are generated for each transform, unless said otherwise."""
_MOST_ROWS: Final = 400
_ROUNDS: Final = 8


def need_tools(*, feast: bool = True) -> None:
    """Raise TransformError if what a check needs, beside skew_ext itself, is not installed."""
    needed = ("hypothesis", "duckdb", "ibis") if feast else ("hypothesis",)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise TransformError(f"to check transforms needs {', '.join(missing)}: pip install 'skew-ext[check]'")


def check_transform(
    contract: Contract, *, examples: int = EXAMPLES, feast: bool = True, redis: str | None = None
) -> Checked:
    """Check one shared transform.

    Parameters
    ----------
    contract
        The transform's contract, of `find_transforms`.
    examples
        How many batches to generate; each has up to six rows. The same ones each time.
    feast
        Whether to go through real Feast stores too: DuckDB offline, SQLite online.
    redis
        A Redis, as Feast's `connection_string`, to go through as well.

    Raises
    ------
    TransformError
        Hypothesis or DuckDB is not installed, or Feast cannot make the repo.
    """
    need_tools(feast=feast)
    if feast:  # before warnings are silenced: Feast sets filters of its own as it is imported
        importlib.import_module("skew_ext.transform.checking.feast_paths")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's at the edges of arithmetic, and Feast's own
        return _checked(contract, examples, redis, feast=feast)


def _checked(contract: Contract, examples: int, redis: str | None, *, feast: bool) -> Checked:
    checked = Checked(contract.reference, contract.manifest.fingerprint, paths=[ROW, *BATCHES])
    checked.findings += impurities(contract.manifest)
    seen = _generate(contract, checked, examples)
    checked.rows = len(seen)
    _watch(contract, checked, seen[:20])
    if feast and not any(finding.example for finding in checked.findings):
        _through_feast(contract, checked, seen, redis)
    checked.findings = _without_echoes(checked.findings)
    return checked


def _generate(contract: Contract, checked: Checked, examples: int) -> list[Row]:
    """Compare the ways without Feast on generated rows; give the rows, for the ways through Feast."""
    from skew_ext.transform.checking.generating import search  # noqa: PLC0415 - Hypothesis, which only a check needs

    seen: dict[str, Row] = {}

    def compared(rows: Sequence[Row]) -> None:
        compare(contract, rows)
        if len(seen) < _MOST_ROWS:
            seen.update((repr(row), row) for row in rows)

    found = search(contract.input_types, compared, examples)
    rows = list(seen.values())
    # A long batch takes numpy's vectorised loops, and an empty one nothing at all.
    found = found or _tried_once(contract, rows) or _tried_once(contract, [])
    if found is not None:
        checked.findings.append(found)
    return rows


def _tried_once(contract: Contract, rows: list[Row]) -> Finding | None:
    try:
        compare(contract, rows)
    except FoundError as error:
        return error.finding
    return None


def _watch(contract: Contract, checked: Checked, rows: list[Row]) -> None:
    watcher = Watcher(contract)
    watcher.run(lambda: by_row(contract, rows))
    watcher.run(lambda: BATCHES["dict"](contract, rows))
    watcher.compare()
    checked.findings += watcher.findings


def _through_feast(contract: Contract, checked: Checked, rows: list[Row], redis: str | None) -> None:
    from skew_ext.transform.checking.feast_paths import feast_repo  # noqa: PLC0415 - Feast, which a check may leave out
    from skew_ext.transform.on_demand import importable  # noqa: PLC0415

    if not importable(contract):
        checked.findings.append(Finding("not_importable", "define it at the top of a module"))
        return
    whole = [row for row in rows if _tried(contract, row) is not None]
    with _said(contract), feast_repo(contract, redis) as repo:
        for code, name, run in _feast_ways(repo):
            checked.paths.append(name)
            finding = _feast_finding(contract, whole, run, code, name)
            if finding is not None:
                checked.findings.append(finding)


@contextmanager
def _said(contract: Contract) -> Iterator[None]:
    try:
        yield
    except TransformError:
        raise
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise TransformError(
            f"{contract.reference} could not be run in Feast: {type(error).__name__}: {why}"
        ) from error


def _feast_ways(repo: FeastRepo) -> Iterator[tuple[str, str, Callable[[Sequence[Row]], Results]]]:
    names = iter(repo.paths)
    yield "feast_offline", next(names), repo.offline
    yield "feast_offline", next(names), partial(repo.offline, arrow=True)
    for store in repo.stores:
        yield "feast_online", next(names), partial(repo.online, store=store)


def _tried(contract: Contract, row: Row) -> dict[str, Any] | None:
    try:
        return contract.on_row(row)
    except TransformError:
        return None


def _feast_finding(
    contract: Contract, rows: list[Row], run: Callable[[Sequence[Row]], Results], code: str, name: str
) -> Finding | None:
    place = _first_unlike(contract, rows, run)
    if place is None:
        return None
    row = _shrunk(contract, rows[place], run)
    said = _unlike_alone(contract, row, run)
    if not said:  # it shows in company alone
        row, said = rows[place], f"as one of {len(rows)} rows it differs, and not alone"
    return Finding(code, f"{name}: {said}", "", (row,))


def _first_unlike(contract: Contract, rows: list[Row], run: Callable[[Sequence[Row]], Results]) -> int | None:
    if not rows:
        return None
    try:
        found = run(rows)
    except Exception as error:
        if _is_the_stores(error):
            raise
        if len(rows) == 1:
            return 0
        half = len(rows) // 2
        first = _first_unlike(contract, rows[:half], run)
        second = _first_unlike(contract, rows[half:], run) if first is None else None
        if first is None and second is None:
            raise
        return first if second is None else half + second
    expected = by_row(contract, rows)
    return next((row for row in range(len(rows)) if unlike(expected[row], found[row])), None)


def _is_the_stores(error: Exception) -> bool:
    """Say whether an error is of a connection or a file: no finding about a transform, the check could not run."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("redis", "sqlite3")


def _unlike_alone(contract: Contract, row: Row, run: Callable[[Sequence[Row]], Results]) -> str:
    try:
        found = run([row])[0]
    except Exception as error:
        if _is_the_stores(error):
            raise
        # Whatever else Feast or the transform raises is what the example shows.
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return unlike(by_row(contract, [row])[0], found)


def _shrunk(contract: Contract, row: Row, run: Callable[[Sequence[Row]], Results]) -> Row:
    """Make a failing row simpler, one value at a time, for as long as it still fails."""
    from skew_ext.transform.checking.inputs import simpler  # noqa: PLC0415 - it needs Hypothesis

    for _ in range(_ROUNDS):
        candidates = [
            {**row, name: value} for name, kind in contract.input_types.items() for value in simpler(kind, row[name])
        ]
        usable = [candidate for candidate in candidates if _tried(contract, candidate) is not None]
        failing = next((candidate for candidate in usable if _unlike_alone(contract, candidate, run)), None)
        if failing is None:
            break
        row = failing
    return row


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """Leave out what was seen by running and had been read already, or the other way round."""
    kept: list[Finding] = []
    for finding in findings:
        same = [other for other in kept if other.code == finding.code and not other.example]
        names = {other.detail.rpartition(".")[2] for other in same}
        if finding.example or not same or (finding.where and finding.detail.rpartition(".")[2] not in names):
            kept.append(finding)
    return kept
