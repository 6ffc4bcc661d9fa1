"""Training sets that know what serving will not: cells from the future, labels in disguise, rows lost or repeated."""

from skew_ext.leakage.check import check_leakage
from skew_ext.leakage.report import LeakageFinding, LeakageReport

__all__ = ["LeakageFinding", "LeakageReport", "check_leakage"]
