"""A stock `feast serve` on the repo, over real HTTP, logs without a line of our code in it, and Feast reads the log."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from skew_ext import read_log
from skew_ext.shipping.stats import log_stats
from tests.flights import END, START, build_sources, copy_repo, environment, run
from tests.kit import wait_for

ENTITIES: dict[str, list[Any]] = {
    "origin": ["JFK", "EWR"],
    "carrier": ["B6", "UA"],
    "tailnum": ["N505JB", "none"],
    "scheduled_departure": [1374508800, 1374512400],
    "asked_at": [1374506400, 1374509100],
    "distance": [2475.0, 719.0],
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_repo(tmp_path_factory.mktemp("serve") / "feature_repo")
    build_sources(folder)
    run(folder, "feast", "apply")
    run(folder, "feast", "materialize", START, END)
    return folder


@contextmanager
def feast_serve(folder: Path) -> Iterator[str]:
    """Run `feast serve` on a free port; give its address when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "serve.log").open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("feast")), "serve", "--port", str(port), "--no-access-log"],
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=output,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: healthy(address), f"feast serve does not answer: {folder / 'serve.log'}")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_request_id_comes_from_its_header_and_goes_back_in_one(repo: Path) -> None:
    (repo / "static_artifacts.py").write_text("from skew_ext.serving.http import load_artifacts\n")
    question = {"feature_service": "departure_delay", "entities": ENTITIES}
    headers = [{}, {"X-Request-ID": "r-4711"}, {"x-request-id": ""}, {"x-request-id": "x" * 201}]
    try:
        with feast_serve(repo) as address:
            answers = [
                httpx.post(f"{address}/get-online-features", json=question, headers=given, timeout=30)
                for given in headers
            ]
    finally:
        (repo / "static_artifacts.py").unlink()
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[1] == "r-4711"
    assert len(set(ids)) == 4
    assert {len(made) for made in (ids[0], *ids[2:])} == {36}
    wait_for(lambda: log_stats(repo / "data/skew/spool").in_spool == 0, "the shipper did not store the lookups")
    for one in ids:
        assert read_log(repo, request_id=one)["origin"].to_pylist() == ENTITIES["origin"]


def test_feast_serve_logs_http_lookups_and_feast_monitors_the_log(repo: Path) -> None:
    before = datetime.now(tz=timezone.utc)
    stored = read_log(repo).num_rows
    with feast_serve(repo) as address:
        answers = [
            httpx.post(
                f"{address}/get-online-features",
                json={"feature_service": "departure_delay", "entities": ENTITIES, "full_feature_names": full},
                timeout=30,
            )
            for full in (False, True)
        ]
    for answer in answers:
        assert answer.status_code == httpx.codes.OK, answer.text
    # Nobody ships by hand here: the first logger of the spool has started the shipper.
    wait_for(lambda: log_stats(repo / "data/skew/spool").stored == stored + 4, "the shipper did not store the lookups")
    log = read_log(repo, "departure_delay", start=before, end=datetime.now(tz=timezone.utc))
    served = answers[0].json()
    names = served["metadata"]["feature_names"]
    by_name = dict(zip(names, served["results"], strict=True))
    logged = log.slice(0, 2).to_pydict()
    for column in ("origin_weather__temp", "carrier_delay__landed_flights", "flight_request__distance_band"):
        values = by_name[column.partition("__")[2]]["values"]
        # JSON has int64 as text: compared as text.
        assert [str(value) for value in logged[column]] == [str(value) for value in values]
    assert logged["distance"] == ENTITIES["distance"]
    assert logged["asked_at"] == ENTITIES["asked_at"]
    assert log["origin"].to_pylist() == ENTITIES["origin"] * 2
    assert {text.partition("=")[0] for text in log["__transforms"].to_pylist()} == {"flight_request"}

    today = before.date().isoformat()
    said = run(
        repo, "feast", "monitor", "run", "--source-type", "log", "--feature-service", "departure_delay",
        "--start-date", today, "--end-date", today, "--granularity", "daily",
    )  # fmt: skip
    assert "skipped" not in said.lower(), said
    metrics = monitored(repo)
    assert metrics["temp"]["row_count"] == stored + 4
    assert metrics["temp"]["null_rate"] == 0.0
    assert metrics["last_arrival_delay"]["null_rate"] == 0.5


def monitored(repo: Path) -> dict[str, dict[str, Any]]:
    (table,) = [path for path in repo.rglob("*.parquet") if "monitor" in str(path) and "feature_metrics" in path.name]
    return {row["feature_name"]: row for row in pq.read_table(table).to_pylist()}


def test_the_repo_works_with_plain_feast_code(repo: Path) -> None:
    code = (
        "from feast import FeatureStore; store = FeatureStore(repo_path='.');"
        "print(store.get_online_features(['origin_weather:temp'], [{'origin': 'JFK'}]).to_dict())"
    )
    assert "'temp': [" in run(repo, sys.executable, "-c", code)
