#!/usr/bin/env bash
# pyarrow 26.0.1 writes Parquet Bloom filters and does not ask them when it reads.
#
# `pq.write_table(bloom_filter_options=...)` puts a filter for each row group into the file, and the metadata says where.
# A dataset's filter, `pq.read_table(filters=...)` and a fragment's `subset` go by minima and maxima alone: for a value
# that the file does not have, of a column of hashes, every row group is still read. So a look-up by an id in many files
# costs as much with the filters as without them, and the files are larger.
#
# Seen (pyarrow 26.0.1, Python 3.11, Linux):
#   with filters: True, bytes more than without: True, row groups left for an absent value: 100 of 100
#   without: False, row groups left for an absent value: 100 of 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import os
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

ROWS, GROUP = 100_000, 1_000
absent = hashlib.md5(b"never written").hexdigest()
table = pa.table({"id": [hashlib.md5(str(row).encode()).hexdigest() for row in range(ROWS)]})
pq.write_table(table, "with.parquet", row_group_size=GROUP, bloom_filter_options={"id": {"ndv": GROUP, "fpp": 0.01}})
pq.write_table(table, "without.parquet", row_group_size=GROUP)


def has_filter(path):
    return bool(pq.read_metadata(path).row_group(0).column(0).bloom_filter_length)


def left(path):
    (fragment,) = ds.dataset(path).get_fragments()
    return len(fragment.subset(ds.field("id") == absent).row_groups), fragment.num_row_groups


larger = os.path.getsize("with.parquet") > os.path.getsize("without.parquet")
(kept, groups), (plain, _) = left("with.parquet"), left("without.parquet")
print(
    f"with filters: {has_filter('with.parquet')}, bytes more than without: {larger}, "
    f"row groups left for an absent value: {kept} of {groups}"
)
print(f"without: {has_filter('without.parquet')}, row groups left for an absent value: {plain} of {groups}")
as_seen = has_filter("with.parquet") and not has_filter("without.parquet") and larger and kept == plain == groups == 100
sys.exit(0 if as_seen else 1)
PYTHON
