"""Shared transforms: one definition for pipelines, training and serving."""

from skew_ext.transform.contract import FeatureTransform, feature_transform
from skew_ext.transform.installed import installed_fingerprint
from skew_ext.transform.parameters import Parameters

__all__ = ["FeatureTransform", "Parameters", "feature_transform", "installed_fingerprint"]
