"""Statistics of features: pure functions over arrays and small summaries that add up. Nothing here knows Feast."""

from skew_ext.statistics.arrays import NumericColumn
from skew_ext.statistics.category import CategorySummary, Tally
from skew_ext.statistics.divergence import jensen_shannon, psi, psi_p_value
from skew_ext.statistics.ordered import Comparison, ks, wasserstein
from skew_ext.statistics.row import Thresholds, distribution_row, distribution_rows
from skew_ext.statistics.significance import benjamini_hochberg, chi_square, mean_z, null_rate_test, wilson
from skew_ext.statistics.summary import NumericSummary, quantile_edges

__all__ = [
    "CategorySummary",
    "Comparison",
    "NumericColumn",
    "NumericSummary",
    "Tally",
    "Thresholds",
    "benjamini_hochberg",
    "chi_square",
    "distribution_row",
    "distribution_rows",
    "jensen_shannon",
    "ks",
    "mean_z",
    "null_rate_test",
    "psi",
    "psi_p_value",
    "quantile_edges",
    "wasserstein",
    "wilson",
]
