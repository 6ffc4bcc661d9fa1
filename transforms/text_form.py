"""Text in one Unicode form: two strings that look alike are one category, in the log of a job and in a request alike.

The same name can come as "é" (one character) or as "e" and a combining accent, in full-width letters, with a
no-break space, in capitals: which, depends on the keyboard and on the library that read it.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

Texts = npt.NDArray[np.object_]


def folded(text: str) -> str:
    r"""Give a text caseless, in the form NFKC, with single plain spaces and none at the ends.

    It is the compatibility caseless matching of the Unicode Standard (section 3.13, D146). The tables come with Python,
    so their version is part of the fingerprint of a transform that uses this: a newer Python at serving is seen.

    Examples
    --------
    >>> folded("  Cafe\u0301\u00a0No. \uff11 ") == folded("CAF\u00c9 no. 1") == "café no. 1"
    True
    >>> folded("Straße") == folded("STRASSE")
    True
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", plain.casefold()).split())


@feature_transform(
    inputs={"merchant": "String"},
    outputs={"merchant_key": "String", "merchant_length": "Int64"},
    version="1",
)
def merchant_key(merchant: Texts) -> dict[str, Any]:
    r"""Give a merchant's name in its one form, and the length of that in characters; null where the name is.

    A name of nothing but spaces is the empty text, which is a value, and not null.

    Examples
    --------
    >>> merchant_key.on_row({"merchant": " Cafe\u0301  Noir "})
    {'merchant_key': 'café noir', 'merchant_length': 9}
    >>> merchant_key.on_row({"merchant": "   "})
    {'merchant_key': '', 'merchant_length': 0}
    >>> merchant_key.on_row({"merchant": None})
    {'merchant_key': None, 'merchant_length': None}
    """
    keys = [None if name is None else folded(name) for name in merchant]
    missing = np.array([key is None for key in keys], dtype=np.bool_)
    lengths = np.array([len(key or "") for key in keys], dtype=np.int64)
    texts = np.empty(len(keys), dtype=object)
    texts[:] = keys
    return {"merchant_key": texts, "merchant_length": np.ma.MaskedArray(lengths, mask=missing)}
