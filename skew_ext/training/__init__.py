"""Training on what was served: the log's rows joined to labels, each row accounted for."""

from skew_ext.training.from_log import training_set_from_log
from skew_ext.training.training_set import Account, TrainingSet

__all__ = ["Account", "TrainingSet", "training_set_from_log"]
