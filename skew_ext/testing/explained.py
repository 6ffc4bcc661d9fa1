"""The per-cell causes of an audit."""

from skew_ext.audit.causes.explained import ExplainedCells, explained_cells

__all__ = ["ExplainedCells", "explained_cells"]
