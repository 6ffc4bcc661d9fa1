"""Static rules over a Feast repo: what will make training and serving differ, said before it does."""

from skew_ext.linting.engine import lint
from skew_ext.linting.report import LintFinding, LintReport

__all__ = ["LintFinding", "LintReport", "lint"]
