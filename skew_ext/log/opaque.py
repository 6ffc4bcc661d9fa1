"""Values that the log keeps as the bytes of Feast's own message (maps, nested lists, structs), as Python's own."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type

_FEAST_TYPE = b"feast_type"
_PLAIN_BYTES = (b"BYTES", b"PDF_BYTES", b"IMAGE_BYTES")


def is_opaque(field: pa.Field) -> bool:
    """Say whether a column of the log holds messages, and not bytes that were served as bytes."""
    feast_type = (field.metadata or {}).get(_FEAST_TYPE, b"BYTES")
    return pa.types.is_binary(field.type) and feast_type not in _PLAIN_BYTES


def opened(value: bytes) -> Any:
    """Give what a message holds; the bytes themselves if they are none."""
    try:
        return feast_value_type_to_python_type(Value.FromString(value))
    except Exception:  # noqa: BLE001 - protobuf's DecodeError has no public base class in all of its backends
        return value
