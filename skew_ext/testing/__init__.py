"""The test kit: real Feast repos with chosen faults in them, the truth about each cell, and the confusion matrix.

For tests of one's own pipeline, and of this library: `FaultyRepo` makes and serves a repo, `explained_cells` gives each
differing cell of any audit with its cause, `confusion` sets the two against each other.
"""

from skew_ext.testing.catalogue import FAULTS, LOOKUPS
from skew_ext.testing.confusion import Confusion, confusion, total
from skew_ext.testing.explained import explained_cells
from skew_ext.testing.fault import Fault
from skew_ext.testing.faulty_repo import FaultyRepo
from skew_ext.testing.online import evict
from skew_ext.testing.sources import ParquetSources, PostgresSources
from skew_ext.testing.timeline import Timeline
from skew_ext.testing.views import DEVICES, PAYMENTS, SyntheticFeature, SyntheticView

__all__ = [
    "DEVICES",
    "FAULTS",
    "LOOKUPS",
    "PAYMENTS",
    "Confusion",
    "Fault",
    "FaultyRepo",
    "ParquetSources",
    "PostgresSources",
    "SyntheticFeature",
    "SyntheticView",
    "Timeline",
    "confusion",
    "evict",
    "explained_cells",
    "total",
]
