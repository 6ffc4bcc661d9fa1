"""How fast the shipper decodes: values per second and core into Parquet, against Feast's own `to_dict`.

    python benchmarks/shipper_throughput.py [--megabytes 48]

Prints, for lookups of 1 entity x 20 features and 100 x 50, what `to_dict` makes of the same responses, what the spool's
records decode to as Arrow, and what reaches Parquet (read, checksummed, decoded, written, fsynced), in million values
per second on one core; and the bytes that a value takes in the spool and in the log.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse

from skew_ext.log.decode import Entry, decode
from skew_ext.schema import Column, LoggedFeature, LogSchema
from skew_ext.serving.context import new_request_id
from skew_ext.serving.record import Record
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.writer import SpoolWriter
from skew_ext.shipping.shipper import Shipper, calm_collector

DIFFERENT = 2000
NULLS = 0.02
CONSTANTS = b'["","","",""]'
NOW = 1_772_366_400
CHANCE = random.Random(20260301)  # noqa: S311 - values to serve


def response(entities: int, features: int) -> bytes:
    """Make a response as Feast serves it: doubles, some of them null, materialized within the last hours."""
    message = GetOnlineFeaturesResponse()
    message.metadata.feature_names.val.extend(["entity", *(f"f{number}" for number in range(features))])
    keys = message.results.add()
    for _ in range(entities):
        keys.values.add(int64_val=CHANCE.randrange(10_000))
        keys.event_timestamps.add()
        keys.statuses.append(FieldStatus.PRESENT)
    for _ in range(features):
        vector = message.results.add()
        for _ in range(entities):
            vector.values.add(**({"double_val": CHANCE.random()} if CHANCE.random() > NULLS else {}))
            vector.event_timestamps.add(seconds=NOW - CHANCE.randrange(4) * 3600)
            vector.statuses.append(FieldStatus.PRESENT)
    return message.SerializeToString()


def schema_of(features: int) -> LogSchema:
    """Give the schema of such lookups."""
    logged = tuple(
        LoggedFeature("view", f"f{number}", f"f{number}", "DOUBLE", 7_200_000_000, on_demand=False)
        for number in range(features)
    )
    return LogSchema("bench", "service", logged, (Column("entity", "INT64"),), ())


def spooled(folder: Path, schema: LogSchema, responses: list[bytes], lookups: int, entities: int) -> tuple[Path, int]:
    """Fill a spool, and give it with the bytes that its records take."""
    spool = SpoolDirectory(folder / "spool")
    destination = {"type": "parquet", "path": str(folder / "log")}
    spool.create("bench", {"destination": destination, "flush_seconds": 10, "sample_rate": 1, "spool_max_hours": None})
    spool.put_schema(schema.hash, schema.text)
    writer = SpoolWriter(spool, 8 << 20, 4 << 30)
    size = 0
    for number in range(lookups):
        body = responses[number % len(responses)]
        served_at = (NOW + number // 100) * 1_000_000
        record = Record(served_at, schema.hash.encode(), new_request_id().encode(), CONSTANTS, b"", body, own_id=True)
        encoded = record.encode()
        while not writer.append(encoded, entities):  # the disk is slower than this loop, which no server is
            time.sleep(0.01)
        size += len(encoded)
    writer.close()
    return spool.path, size


def cpu_seconds(work: object) -> float:
    """Give the CPU seconds that calling `work` takes, of all of the process's threads."""
    start = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - start


def measure(entities: int, features: int, megabytes: int) -> None:
    """Print one line of the table."""
    different = DIFFERENT if entities == 1 else DIFFERENT // 10
    responses, schema = [response(entities, features) for _ in range(different)], schema_of(features)
    lookups = max(len(responses), (megabytes << 20) // len(responses[0]))
    values = lookups * entities * features
    messages = [OnlineResponse(GetOnlineFeaturesResponse.FromString(body)) for body in responses]
    as_dict = cpu_seconds(lambda: [message.to_dict() for message in messages]) / len(messages) * lookups
    record = Record(NOW * 1_000_000, b"", b"r", CONSTANTS, b"", b"")
    part = [
        Entry("w", number, entities, record._replace(response=responses[number % len(responses)]))
        for number in range(max(1, (8 << 20) // len(responses[0])))
    ]
    decoding = cpu_seconds(lambda: decode(part, schema)) / len(part) * lookups
    pa.set_cpu_count(1)
    calm_collector()  # as in the shipper's own process
    with tempfile.TemporaryDirectory() as name:
        spool, spooled_bytes = spooled(Path(name), schema, responses, lookups, entities)
        shipper = Shipper(spool)
        start = time.perf_counter()
        shipping = cpu_seconds(shipper.drain)
        wall = time.perf_counter() - start
        files = [path.stat().st_size for path in (Path(name) / "log").rglob("*.parquet")]
    rates = " ".join(f"{values / seconds / 1e6:12.2f}" for seconds in (as_dict, decoding, shipping, wall))
    shape = f"{entities} x {features}"
    sizes = f"{spooled_bytes / values:11.1f} {sum(files) / values:10.1f} {max(files) / 1e6:11.1f}"
    sys.stdout.write(f"{shape:>10} {rates} {as_dict / shipping:11.1f}x {sizes}\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=48, help="how much to put into the spool")
    megabytes = parser.parse_args().megabytes
    sys.stdout.write("million values per CPU second (last: per second)\n")
    rates = f"{'to_dict':>12} {'to Arrow':>12} {'to Parquet':>12} {'wall':>12} {'x to_dict':>12}"
    sys.stdout.write(f"{'lookup':>10} {rates} {'spool B/val':>11} {'log B/val':>10} {'largest MB':>11}\n")
    for entities, features in ((1, 20), (100, 50)):
        measure(entities, features, megabytes)


if __name__ == "__main__":
    main()
