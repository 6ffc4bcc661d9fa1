"""Categories as numbers. The classes are declared, and one is kept for what training has never seen.

A class added at the end keeps the numbers of the others. To move or remove one is another feature: raise the version,
and train again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

UNSEEN = 0
CHANNELS = ("web", "app", "shop", "phone")

Texts = npt.NDArray[np.object_]


def encode(values: Texts, classes: tuple[str, ...]) -> npt.NDArray[Any]:
    """Give each value's place in `classes`, from 1; 0 for another value; masked for None.

    Examples
    --------
    >>> encode(np.array(["b", "z", None, "a"], dtype=object), ("a", "b")).tolist()
    [2, 0, None, 1]
    """
    numbers = {name: place for place, name in enumerate(classes, start=1)}
    codes = np.array([numbers.get(value, UNSEEN) for value in values], dtype=np.int64)
    missing = np.array([value is None for value in values], dtype=np.bool_)
    masked: npt.NDArray[Any] = np.ma.MaskedArray(codes, mask=missing)
    return masked


@feature_transform(
    inputs={"channel": "String"},
    outputs={"channel_code": "Int64", "channel_unseen": "Bool", "channel_is_app": "Bool"},
    version="1",
)
def channel_code(channel: Texts) -> dict[str, Any]:
    """Give the channel's number (0 is unseen), whether it is unseen, and one indicator; null where the channel is.

    Missing is not unseen: a null stays null, and the model's imputation says what it means.

    Examples
    --------
    >>> channel_code.on_row({"channel": "app"})
    {'channel_code': 2, 'channel_unseen': False, 'channel_is_app': True}
    >>> channel_code.on_row({"channel": "carrier pigeon"})
    {'channel_code': 0, 'channel_unseen': True, 'channel_is_app': False}
    >>> channel_code.on_row({"channel": None})
    {'channel_code': None, 'channel_unseen': None, 'channel_is_app': None}
    """
    codes = encode(channel, CHANNELS)
    return {
        "channel_code": codes,
        "channel_unseen": codes == UNSEEN,
        "channel_is_app": codes == CHANNELS.index("app") + 1,
    }
