"""Statistics of features: pure functions over arrays and small summaries that add up. Nothing here knows Feast."""

from skew_ext.statistics.arrays import NumericColumn
from skew_ext.statistics.binned import ks_between, summary_from_dict, summary_rows
from skew_ext.statistics.category import CategorySummary, Tally
from skew_ext.statistics.change import Change, change_over
from skew_ext.statistics.columns import ParquetColumn, as_arrow
from skew_ext.statistics.divergence import jensen_shannon, psi, psi_p_value
from skew_ext.statistics.embedding import EmbeddingSummary, cosine_distance, norm_ratio
from skew_ext.statistics.ordered import Comparison, ks, wasserstein
from skew_ext.statistics.row import Served, distribution_row, distribution_rows, judged_rows
from skew_ext.statistics.significance import benjamini_hochberg, chi_square, mean_z, null_rate_test, wilson
from skew_ext.statistics.summary import NumericSummary, quantile_edges
from skew_ext.statistics.thresholds import Thresholds
from skew_ext.statistics.weighting import effective_rows, weighed

__all__ = [
    "CategorySummary",
    "Change",
    "Comparison",
    "EmbeddingSummary",
    "NumericColumn",
    "NumericSummary",
    "ParquetColumn",
    "Served",
    "Tally",
    "Thresholds",
    "as_arrow",
    "benjamini_hochberg",
    "change_over",
    "chi_square",
    "cosine_distance",
    "distribution_row",
    "distribution_rows",
    "effective_rows",
    "jensen_shannon",
    "judged_rows",
    "ks",
    "ks_between",
    "mean_z",
    "norm_ratio",
    "null_rate_test",
    "psi",
    "psi_p_value",
    "quantile_edges",
    "summary_from_dict",
    "summary_rows",
    "wasserstein",
    "weighed",
    "wilson",
]
