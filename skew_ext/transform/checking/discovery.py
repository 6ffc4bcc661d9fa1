"""The shared transforms of a folder, a file or a module."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from skew_ext.errors import TransformError
from skew_ext.transform.contract import Contract


def find_transforms(target: str) -> list[Contract]:
    """Give the transforms that a folder, a Python file, or a module by its dotted name defines, by reference.

    A folder that is a package is imported as one, from the folder it stands in; the modules of any other folder are
    imported by their names, from that folder.

    Raises
    ------
    TransformError
        There is no such thing, one of its modules cannot be imported, or it defines no transform.
    """
    found: dict[str, Contract] = {}
    for module in _modules(target):
        for thing in list(vars(module).values()):
            contract = getattr(thing, "contract", None)
            if isinstance(contract, Contract) and contract.function.__module__ == module.__name__:
                found[contract.reference] = contract
    if not found:
        raise TransformError(
            f"{target} defines no shared transform: name a folder or module with @feature_transform in it"
        )
    return [found[name] for name in sorted(found)]


def _modules(target: str) -> Iterator[ModuleType]:
    path = Path(target)
    if path.is_dir():
        yield from _package(path.resolve()) if (path / "__init__.py").is_file() else _folder(path.resolve())
    elif path.suffix == ".py" and path.is_file():
        root, name = _rooted(path.resolve().parent, path.stem)
        _look_in(root)
        yield _imported(name)
    elif path.suffix != ".py" and all(part.isidentifier() for part in target.split(".")):
        module = _imported(target)
        yield module
        yield from _below(module)
    else:
        raise TransformError(f"no folder, file or module {target!r}: name where the shared transforms are")


def _package(folder: Path) -> Iterator[ModuleType]:
    root, name = _rooted(folder.parent, folder.name)
    _look_in(root)
    module = _imported(name)
    if folder not in [Path(place).resolve() for place in module.__path__]:
        raise TransformError(
            f"{name} is imported from {module.__path__[0]}, not from {folder}: two packages of one name"
        )
    yield module
    yield from _below(module)


def _rooted(folder: Path, name: str) -> tuple[Path, str]:
    """Give the folder to import from, and the dotted name there, of what stands in `folder`."""
    while (folder / "__init__.py").is_file():
        folder, name = folder.parent, f"{folder.name}.{name}"
    return folder, name


def _folder(folder: Path) -> Iterator[ModuleType]:
    _look_in(folder)
    for file in sorted(folder.glob("*.py")):
        yield _imported(file.stem)


def _below(module: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}."):
        yield _imported(found.name)


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except TransformError:
        raise
    except ModuleNotFoundError as error:
        if error.name == name:
            raise TransformError(f"no folder, file or module {name!r}: name where the shared transforms are") from None
        raise TransformError(f"{name} cannot be imported: {error}") from error
    except Exception as error:
        raise TransformError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
