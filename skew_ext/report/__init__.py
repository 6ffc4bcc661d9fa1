"""What an audit found, as JSON, as a page, on the terminal, and as data frames."""

from skew_ext.report.report import Report

__all__ = ["Report"]
