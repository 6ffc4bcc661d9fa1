"""The same features three times: as a shared transform, and by hand for Feast's python and pandas modes.

The benchmarks of shared transforms import it. By hand is how a careful engineer writes it: nulls stay null.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feast import Entity, FeatureView, Field, FileSource, OnDemandFeatureView, ValueType
from feast.transformation.pandas_transformation import PandasTransformation
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Float64

from skew_ext import feature_transform

INPUTS = ("wind", "visibility", "made", "flights")
OUTPUTS = ("severity", "made_up", "log_flights")
NULLS = 0.01
"""The share of nulls."""

Floats = npt.NDArray[np.float64]


@feature_transform(inputs=dict.fromkeys(INPUTS, "Float64"), outputs=dict.fromkeys(OUTPUTS, "Float64"))
def shared(wind: Floats, visibility: Floats, made: Floats, flights: Floats) -> dict[str, Any]:
    """Give a severity, a ratio that is null without flights, and a logarithm."""
    return {
        "severity": wind / 10.0 + (10.0 - visibility),
        "made_up": made / np.where(flights == 0.0, np.nan, flights),
        "log_flights": np.log1p(flights),
    }


IN_PYTHON = """\
def by_hand(inputs):
    import math
    outputs = {"severity": [], "made_up": [], "log_flights": []}
    columns = zip(inputs["wind"], inputs["visibility"], inputs["made"], inputs["flights"])
    for wind, visibility, made, flights in columns:
        known = wind is not None and visibility is not None
        outputs["severity"].append(wind / 10.0 + (10.0 - visibility) if known else None)
        outputs["made_up"].append(made / flights if made is not None and flights else None)
        outputs["log_flights"].append(math.log1p(flights) if flights is not None else None)
    return outputs
"""
IN_PANDAS = """\
def by_hand(inputs):
    outputs = pd.DataFrame()
    outputs["severity"] = inputs["wind"] / 10.0 + (10.0 - inputs["visibility"])
    outputs["made_up"] = inputs["made"] / inputs["flights"].where(inputs["flights"] != 0.0)
    outputs["log_flights"] = np.log1p(inputs["flights"])
    return outputs
"""


def views(folder: Path, rows: int, unused: int = 0) -> list[Any]:
    """Write a source of `rows` rows, and give an entity, its view, and the three on-demand views.

    `unused` is how many features the source has that no transform asks for.
    """
    columns = [*INPUTS, *(f"unused_{number}" for number in range(unused))]
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    write_source(folder / "source.parquet", rows, columns)
    source = FileSource(name="source", path=str(folder / "source.parquet"), timestamp_field="event_timestamp")
    fields = [Field(name=name, dtype=Float64) for name in columns]
    view = FeatureView(name="measured", entities=[entity], schema=fields, source=source)
    mine = shared.on_demand_feature_view(name="by_shared", sources=[view])
    kinds = {"python": (PythonTransformation, IN_PYTHON), "pandas": (PandasTransformation, IN_PANDAS)}
    return [entity, view, mine, *(_by_hand(mode, view, *kind) for mode, kind in kinds.items())]


def write_source(path: Path, rows: int, columns: list[str]) -> None:
    """Write numbers with 1 % nulls, all at one time."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame({name: random.uniform(0.0, 40.0, rows) for name in columns})
    frame = frame.mask(random.random(frame.shape) < NULLS)
    frame["flights"] = frame["flights"].round()
    noon = pd.Timestamp("2026-03-01T12:00:00Z").as_unit("us")
    frame.assign(entity=range(rows), event_timestamp=noon).to_parquet(path)


def _by_hand(mode: str, view: FeatureView, transformation: Any, text: str) -> OnDemandFeatureView:
    namespace: dict[str, Any] = {"pd": pd, "np": np, "math": math}
    exec(text, namespace)  # noqa: S102 - as Feast runs it, out of the registry
    return OnDemandFeatureView(
        name=f"by_{mode}",
        sources=[view],
        schema=[Field(name=name, dtype=Float64) for name in OUTPUTS],
        mode=mode,
        feature_transformation=transformation(udf=namespace["by_hand"], udf_string=text),
    )
