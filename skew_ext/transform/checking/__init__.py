"""`skew transforms check`: whether a shared transform is the same everywhere, and pure."""

from skew_ext.transform.checking.checker import EXAMPLES, check_transform, need_tools
from skew_ext.transform.checking.discovery import find_transforms
from skew_ext.transform.checking.findings import CODES, Checked, Finding

__all__ = ["CODES", "EXAMPLES", "Checked", "Finding", "check_transform", "find_transforms", "need_tools"]
