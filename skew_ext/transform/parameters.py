"""Fitted parameters of a shared transform: data with a hash, kept as JSON beside the code.

A training job fits them once (`Parameters({"mean": x.mean()}).save("scale.json")`), the file is reviewed and shipped
with the code, and from then on they are read: never computed again, least of all at serving, where a batch of one has
no mean worth the name.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np

from skew_ext.errors import TransformError, nearest

SHOWN: Final = 12
"""How much of a hash is shown to people."""


class _NoSuchParameterError(TransformError, KeyError):
    """No parameter of that name; a KeyError too, so that `get` and `in` work as for any mapping."""

    __str__ = Exception.__str__


class Parameters(Mapping[str, Any]):
    """Fitted parameters by name: numbers, text, booleans, None, and lists and objects of them; nothing can change them.

    Objects are mappings with their keys in order of code points, whatever order they were written in, and lists are
    tuples. Numbers are Python's: an integer stays one, a float keeps its bits through `save` and `load`.

    Parameters
    ----------
    values
        The parameters. numpy's scalars and arrays are taken as the Python values they hold.
    origin
        What to call them in an error: the file they came from.

    Attributes
    ----------
    hash : str
        64 hex digits of SHA-256 over the values; how the file is laid out does not count.

    Raises
    ------
    TransformError
        A value cannot be kept in JSON and come back the same: NaN, an infinity, a key that is no text, an object.

    Examples
    --------
    >>> fitted = Parameters({"median": np.float64(3.5), "edges": np.array([1, 2])})
    >>> fitted["median"], fitted["edges"]
    (3.5, (1, 2))
    """

    def __init__(self, values: Mapping[str, Any], origin: str = "parameters") -> None:
        self.origin = origin
        self._values: Mapping[str, Any] = _frozen(values, origin)
        self.hash = hashlib.sha256(_text(self._values).encode("utf-8", "surrogatepass")).hexdigest()

    @classmethod
    def load(cls, path: str | Path, *, sha256: str | None = None) -> Parameters:
        """Read parameters from a JSON file.

        Parameters
        ----------
        path
            The file.
        sha256
            The `hash` that they must have, or the first digits of it (12 at least): with it in the code, an edited
            file is an error as the code is imported, before anything is computed.

        Raises
        ------
        TransformError
            There is no such file, it is no JSON object, or its hash is another.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TransformError(f"parameters {path} cannot be read: {error.strerror}") from None
        return cls.read(data, path.name, sha256=sha256)

    @classmethod
    def read(cls, data: bytes, origin: str, *, sha256: str | None = None) -> Parameters:
        """Read parameters from the bytes of a JSON file; see `load`."""
        try:
            values = json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
        except ValueError as error:
            raise TransformError(f"parameters {origin} cannot be read as JSON: {error}") from None
        if not isinstance(values, dict):
            raise TransformError(f"parameters {origin} holds {type(values).__name__}; give an object, names to values")
        loaded = cls(values, origin)
        if sha256 is not None and (len(sha256) < SHOWN or not loaded.hash.startswith(sha256.lower())):
            raise TransformError(
                f"parameters {origin} changed: their hash is {loaded.hash[:SHOWN]}, the code expects "
                f"{sha256[:SHOWN]}; restore the file, or fit and register anew and write the new hash"
            )
        return loaded

    def save(self, path: str | Path) -> str:
        """Write them to a JSON file that `load` reads back the same, and give their hash."""
        text = json.dumps(self._values, indent=1, default=dict, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")
        return self.hash

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            message = f"{self.origin} has no parameter {name!r}{nearest(name, self._values)}"
            raise _NoSuchParameterError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"Parameters({self.origin!r}, hash={self.hash[:SHOWN]!r})"


def parameters_of(declared: object, function: FunctionType) -> Parameters:
    """Give what a transform's declaration names: a file beside the function's module, or the parameters themselves.

    Raises
    ------
    TransformError
        There is no such file, it is no JSON object, or `declared` is neither.
    """
    if isinstance(declared, Parameters):
        return declared
    if isinstance(declared, Mapping):
        return Parameters(declared)
    if not isinstance(declared, (str, os.PathLike)):
        raise TransformError(f"parameters is {type(declared).__name__}; name a JSON file, or give Parameters")
    path = Path(function.__code__.co_filename).parent / declared
    try:
        return Parameters.read(_bytes(path, function), str(declared))
    except OSError as error:
        why = error.strerror or error
        raise TransformError(f"parameters {declared} cannot be read: {why}; it stands beside the module") from None


def _bytes(path: Path, function: FunctionType) -> bytes:
    # The module's own loader finds the file inside a zip, too.
    read = getattr(function.__globals__.get("__loader__"), "get_data", None)
    data: bytes = read(str(path)) if read else path.read_bytes()
    return data


def _frozen(value: Any, where: str) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise TransformError(f"{where} is {value}, which JSON cannot hold; leave it out, or give a finite number")
    if isinstance(value, (list, tuple)):
        return tuple([_frozen(item, f"{where}[{place}]") for place, item in enumerate(value)])
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TransformError(f"{where} has the key {odd[0]!r}; JSON's keys are text")
        return MappingProxyType({key: _frozen(value[key], f"{where}[{key!r}]") for key in sorted(value)})
    raise TransformError(f"{where} is a {type(value).__name__}, which JSON cannot hold; give numbers, text, or lists")


def _text(value: Any) -> str:
    # 1 and 1.0 are two parameters: integer arithmetic is not float arithmetic.
    if isinstance(value, Mapping):
        members = ",".join(f"{json.dumps(key)}:{_text(item)}" for key, item in value.items())
        return f"{{{members}}}"
    if isinstance(value, tuple):
        return f"[{','.join(_text(item) for item in value)}]"
    return value.hex() if isinstance(value, float) else json.dumps(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; leave it out, or give a finite number")
