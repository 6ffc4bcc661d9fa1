"""Shared transforms: one definition for pipelines, training and serving."""

from skew_ext.transform.contract import FeatureTransform, feature_transform
from skew_ext.transform.installed import installed_fingerprint

__all__ = ["FeatureTransform", "feature_transform", "installed_fingerprint"]
