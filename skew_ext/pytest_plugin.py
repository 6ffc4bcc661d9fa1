"""`pytest --skew-transforms transforms`: one test for each shared transform of a folder or module.

Loaded by pytest in every project that has skew_ext installed, so it imports nothing until the option is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from skew_ext.transform.contract import Contract

_OPTION = "--skew-transforms"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("skew", "shared transforms (skew_ext)")
    group.addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="FOLDER",
        help="Check the shared transforms of this folder, file or module, one test for each; may be given again.",
    )
    group.addoption(
        "--skew-examples", type=int, default=None, metavar="N", help="How many batches to generate for each."
    )
    group.addoption("--skew-redis", default=None, metavar="HOST:PORT", help="Go through this Redis, too.")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the transforms as a plugin of their own, where any are asked for."""
    if config.getoption(_OPTION):
        config.pluginmanager.register(_Transforms(), "skew_transforms")


class _Transforms:
    """Adds the transforms to what pytest collects from its arguments, before anything is deselected."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        collector = _Collector.from_parent(session, name="transforms", nodeid="shared transforms")
        found: list[pytest.Item | pytest.Collector] = list(collector.collect())
        items.extend(item for item in found if isinstance(item, pytest.Item))
        report = pytest.CollectReport(collector.nodeid, "passed", None, found)
        session.config.hook.pytest_collectreport(report=report)  # so that pytest counts them


class _Collector(pytest.Collector):
    def collect(self) -> Iterator[_Item]:
        from skew_ext.errors import SkewError  # noqa: PLC0415 - nothing is imported before it is asked for
        from skew_ext.transform.checking.checker import need_tools  # noqa: PLC0415
        from skew_ext.transform.checking.discovery import find_transforms  # noqa: PLC0415

        try:
            need_tools()
            for target in self.config.getoption(_OPTION):
                for contract in find_transforms(_from_where_it_was_typed(self.config, target)):
                    yield _Item.from_parent(self, name=contract.reference, contract=contract)
        except SkewError as error:
            raise pytest.UsageError(f"{_OPTION}: {error}") from None


def _from_where_it_was_typed(config: pytest.Config, target: str) -> str:
    path = config.invocation_params.dir / target
    return str(path) if path.exists() else target


class _Item(pytest.Item):
    def __init__(self, *, contract: Contract, **pytest_arguments: Any) -> None:
        super().__init__(**pytest_arguments)
        self._contract = contract

    def runtest(self) -> None:
        from skew_ext.transform.checking.checker import EXAMPLES, check_transform  # noqa: PLC0415

        examples = self.config.getoption("--skew-examples") or EXAMPLES
        checked = check_transform(self._contract, examples=examples, redis=self.config.getoption("--skew-redis"))
        if checked.findings:
            raise _FailedError(checked)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from skew_ext.errors import SkewError  # noqa: PLC0415
        from skew_ext.transform.checking.telling import finding_lines  # noqa: PLC0415

        error = excinfo.value
        if isinstance(error, _FailedError):
            return "\n".join(line for finding in error.checked.findings for line in finding_lines(finding))
        return str(error) if isinstance(error, SkewError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        code = self._contract.function.__code__
        return Path(code.co_filename), code.co_firstlineno - 1, f"shared transform {self.name}"


class _FailedError(Exception):
    def __init__(self, checked: Any) -> None:
        super().__init__(f"{len(checked.findings)} findings")
        self.checked = checked
