"""`skew audit` with files that a person writes: thresholds, importances, a weighted training set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from skew_ext import request_context
from skew_ext.audit.given import read_importance, read_thresholds
from skew_ext.cli.main import cli
from skew_ext.errors import AuditError
from skew_ext.shipping.shipper import Shipper
from tests.kit import NOON, Repo, row

COULD_NOT_RUN = 2


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Serve 120 drivers once."""
    repo = Repo(tmp_path_factory.mktemp("given") / "repo")
    repo.write([row(driver, NOON, driver / 10, driver % 20, f"city {driver % 4}") for driver in range(120)])
    repo.materialize(NOON)
    with request_context(served_at=NOON):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(service, [{"driver": driver} for driver in range(120)])
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def skew(repo: Repo, *arguments: str) -> Result:
    window = ("--start", "2026-03-01T00:00Z", "--end", "2026-03-02T00:00Z")
    asked = ("-c", str(repo.path), "audit", "--feature-service", "scoring", *window, "--json", "-", *arguments)
    return CliRunner().invoke(cli, asked)


def test_thresholds_of_a_file_hold(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text(
        'minimum_rows = 50\n[stats__trips]\npsi_act = 0.9\n["stats"]\npsi_watch = 0.15\n'
    )
    (tmp_path / "limits.json").write_text(json.dumps({"minimum_rows": 50, "stats__trips": {"psi_act": 0.9}}))
    for name in ("limits.toml", "limits.json"):
        used = json.loads(skew(repo, "--thresholds", str(tmp_path / name)).stdout)["distribution"]["thresholds"]
        assert used["default"]["minimum_rows"] == 50
        assert used["stats__trips"]["psi_act"] == 0.9


def test_thresholds_of_a_project_stand_in_its_pyproject(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.skew]\nselect = ['ALL']\n[tool.skew.thresholds]\npsi_act = 0.5\n")
    assert read_thresholds(path) == {"psi_act": 0.5}
    path.write_text("[project]\nname = 'x'\n")
    with pytest.raises(AuditError, match=r"no table \[tool.skew.thresholds\]"):
        read_thresholds(path)


def test_the_most_important_features_are_compared(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "gain.csv").write_text("feature,importance\nstats__trips,0.9\nstats__rating,0.05\n")
    (tmp_path / "gain.json").write_text(json.dumps({"stats__trips": 0.9, "stats__rating": 0.05}))
    (tmp_path / "gain.toml").write_text("stats__trips = 0.9\nstats__rating = 0.05\n")
    for name in ("gain.csv", "gain.json", "gain.toml"):
        report = json.loads(skew(repo, "--importance", str(tmp_path / name), "--top-k", "1").stdout)
        assert [one["feature"] for one in report["distribution"]["skew"]] == ["stats__trips"]
        assert "the distributions are of the 1 most important of 3 features" in report["notes"]


def test_a_weighted_training_set_from_a_file(repo: Repo, tmp_path: Path) -> None:
    trained = pd.DataFrame({"trips": np.arange(4000) % 20, "w": np.repeat([1.0, 0.0], 2000)})
    trained.to_csv(tmp_path / "train.csv", index=False)
    report = json.loads(skew(repo, "--training-set", str(tmp_path / "train.csv"), "--weights", "w").stdout)
    (trips,) = report["distribution"]["drift"]
    assert trips["n_reference"] == 2000
    assert any("4,000 rows tell as much of drift as 2,000" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", "psi_acct = 0.3", "there is no threshold 'psi_acct' (did you mean 'psi_act'?)"),
        ("a.toml", "psi_act = 'much'", "psi_act must be a number, not 'much'"),
        ("a.json", '{"psi_act": true}', "psi_act must be a number, not True"),
        ("a.json", '{"psi_act": NaN}', "psi_act must be over 0, not nan"),
        (
            "a.toml",
            "[stats__trip]\npsi_act = 1.0",
            "'stats__trip', which the service has not (did you mean 'stats__trips'?)",
        ),
        ("a.toml", "psi_act 0.3", "cannot be read"),
        ("a.json", "[1]", "must be an object of names and numbers, not a list"),
        ("absent.toml", None, "cannot be read (No such file or directory)"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(
    repo: Repo, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = skew(repo, "--thresholds", str(tmp_path / name))
    assert (done.exit_code, done.stdout) == (COULD_NOT_RUN, "")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "feature,importance\nf,1\nf,2\n", "has the feature 'f' twice"),
        ("a.csv", "name,gain\nf,1\n", "must have rows, and the columns feature and importance"),
        ("a.csv", "", "must have rows"),
        ("a.csv", "feature,importance\nf,much\n", "importance of 'f' must be a finite number, not 'much'"),
        ("a.csv", "feature,importance\nf\n", "must be a finite number, not None"),
        ("a.json", '{"f": null}', "must be a finite number, not None"),
        ("a.json", '{"f": Infinity}', "must be a finite number, not inf"),
        ("a.csv", None, "cannot be read (No such file"),
    ],
)
def test_importances_that_mean_nothing_are_refused(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(AuditError) as refused:
        read_importance(tmp_path / name)
    assert said in str(refused.value)


def test_options_that_need_one_another_say_so(repo: Repo) -> None:
    for asked, said in (
        (("--top-k", "2"), "top_k=2 says nothing: give 1 or more, and the importance"),
        (("--weights", "w"), "no training set is given"),
    ):
        done = skew(repo, *asked)
        assert (done.exit_code, done.stdout) == (COULD_NOT_RUN, "")
        assert said in done.stderr
