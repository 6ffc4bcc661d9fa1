"""The test kit: real Feast repos with chosen faults in them, the truth about each cell, and the confusion matrix.

For tests of one's own pipeline, and of this library: `FaultyRepo` makes and serves a repo, `explained_cells` gives each
differing cell of any audit with its cause, `confusion` sets the two against each other.
"""

from skew_ext.testing.catalogue import FAULTS, LOOKUPS, PAIRS
from skew_ext.testing.confusion import Confusion, confusion, total
from skew_ext.testing.drawn import World, drawn_worlds
from skew_ext.testing.explained import explained_cells
from skew_ext.testing.fault import Fault
from skew_ext.testing.faulty_repo import FaultyRepo
from skew_ext.testing.objects import HALF, SERVICE
from skew_ext.testing.online import evict
from skew_ext.testing.shapes import SHAPES
from skew_ext.testing.sources import ParquetSources, PostgresSources, SparkSources
from skew_ext.testing.timeline import Timeline
from skew_ext.testing.views import DEVICES, PAYMENTS, SyntheticFeature, SyntheticView

__all__ = [
    "DEVICES",
    "FAULTS",
    "HALF",
    "LOOKUPS",
    "PAIRS",
    "PAYMENTS",
    "SERVICE",
    "SHAPES",
    "Confusion",
    "Fault",
    "FaultyRepo",
    "ParquetSources",
    "PostgresSources",
    "SparkSources",
    "SyntheticFeature",
    "SyntheticView",
    "Timeline",
    "World",
    "confusion",
    "drawn_worlds",
    "evict",
    "explained_cells",
    "total",
]
