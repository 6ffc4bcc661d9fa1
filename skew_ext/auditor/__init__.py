"""The audit as a whole: from the log and the baseline, through parity and causes, to the report."""

from skew_ext.auditor.auditor import SkewAuditor

__all__ = ["SkewAuditor"]
