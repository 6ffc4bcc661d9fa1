"""Lint on whole repos: Feast's templates, our own repo, and registries that nobody trusts."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import feast
import pytest
import yaml
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.protos.feast.core.Registry_pb2 import Registry

from skew_ext import lint
from skew_ext.errors import RepoError, SettingsError
from skew_ext.linting.config import LintConfig
from skew_ext.linting.engine import check
from skew_ext.linting.loading import read_settings
from skew_ext.linting.reading import Messages, read_repo
from skew_ext.linting.report import LintReport
from skew_ext.linting.rule import Example
from skew_ext.linting.rules import BY_CODE
from tests.flights import build_sources, copy_repo
from tests.flights import run as run_in
from tests.lint_repos import applied, build, faulty

TEMPLATES = Path(feast.__file__).parent / "templates"
FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2
UNINSTALLED = ("couchbase", "minimal", "rag", "ray", "ray_rag")
BROKEN = {"pytorch_nlp": {("SKW022", "sentiment_prediction"), ("SKW023", "sentiment_prediction")}}


def found(report: LintReport) -> set[tuple[str, str]]:
    return {(finding.code, finding.name) for finding in report.findings}


@pytest.fixture(scope="module")
def local_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    run_in(folder, "feast", "init", "-t", "local", "rides")
    return folder / "rides" / "feature_repo"


def test_the_local_template_is_told_the_truth(local_template: Path) -> None:
    """Each of these was seen by running the template; the rules' own facts are in test_lint_facts.py."""
    report = lint(local_template)
    assert found(report) == {
        ("SKW009", "driver_hourly_stats_source"),
        ("SKW009", "driver_quality_labels_batch"),
        ("SKW013", "transformed_conv_rate"),
        ("SKW013", "transformed_conv_rate_fresh"),
        ("SKW017", "driver"),
        ("SKW018", "transformed_conv_rate"),
        ("SKW018", "transformed_conv_rate_fresh"),
        ("SKW019", "transformed_conv_rate"),
        ("SKW019", "transformed_conv_rate_fresh"),
        ("SKW026", "feature_store.yaml"),
        ("SKW032", "feature_store.yaml"),
        ("SKW038", "driver_activity_v1"),
    }
    assert not report.at_least("fail")
    assert "acc_rate" not in " ".join(finding.message for finding in report.findings if finding.code == "SKW013")
    assert report.project == "rides"


def test_the_template_reads_the_same_once_it_is_applied(local_template: Path) -> None:
    run_in(local_template, "feast", "apply")
    # Labels' views are given an entity column by apply; nothing else changes.
    assert found(lint(local_template, registry=True)) == found(lint(local_template))


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.iterdir() if (path / "feature_repo").is_dir()))
def test_every_template_is_linted_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """Templates whose clients are not installed here cannot be imported: lint says so, and does not crash."""
    shutil.copytree(TEMPLATES / name / "feature_repo", tmp_path / "repo")
    if not (tmp_path / "repo" / "feature_store.yaml").is_file():
        shutil.copy(TEMPLATES / name / "feature_store.yaml", tmp_path / "repo")
    # As `feast init` fills in what it asks for.
    for file in (*(tmp_path / "repo").rglob("*.py"), tmp_path / "repo" / "feature_store.yaml"):
        file.write_text(re.sub("%[A-Z0-9_]+%", "asked", file.read_text()))
    try:
        report = lint(tmp_path / "repo")
    except RepoError as error:
        assert name in UNINSTALLED
        assert re.fullmatch(".*(cannot be imported|no Python files).*", str(error))  # noqa: PT017 - in one line
        return
    assert report.checked > 0
    assert {one for one in found(report) if BY_CODE[one[0]].severity == "fail"} == BROKEN.get(name, set())


def test_the_broken_template_is_broken(tmp_path: Path) -> None:
    """What lint says of pytorch_nlp is so: its function asks for globals that Feast does not give it."""
    shutil.copytree(TEMPLATES / "pytorch_nlp" / "feature_repo", tmp_path / "repo")
    store = applied(tmp_path / "repo")
    with pytest.raises(NameError, match="_sentiment_model"):
        store.get_online_features(
            ["sentiment_prediction:predicted_sentiment"], [{"input_text": "fine", "model_name": "any"}]
        )


def test_our_own_repo_is_clean(tmp_path: Path) -> None:
    repo = copy_repo(tmp_path / "feature_repo")
    build_sources(repo)
    report = lint(repo)
    assert not report.findings
    assert (report.checked, report.notes) == (13, [])


def test_our_own_production_settings_are_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIGHTS_SOURCES", "postgres")
    report = lint(copy_repo(tmp_path / "feature_repo"), fs_yaml_file=Path("feature_store.production.yaml"))
    assert not report.findings
    assert report.ignored == 1
    assert report.notes == ["the columns of sources that are no local Parquet (custom) were not looked at"]


def test_a_repo_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules, its folder and its place on the path are gone, and another's module of the same name is back."""
    before, path = Path.cwd(), list(sys.path)
    other = type(sys)("features")
    monkeypatch.setitem(sys.modules, "features", other)
    lint(faulty(tmp_path / "repo"))
    assert (Path.cwd(), sys.path, sys.modules["features"]) == (before, path, other)
    assert "shared" not in sys.modules
    assert not list((tmp_path / "repo").rglob("__pycache__"))


def test_two_repos_with_modules_of_one_name(tmp_path: Path) -> None:
    first, second = faulty(tmp_path / "first"), build(tmp_path / "second", BY_CODE["SKW001"].good)
    assert found(lint(first)) == {("SKW001", "stats"), ("SKW013", "stats")}
    assert not lint(second).findings


def test_a_registry_is_read_and_its_functions_are_not_run(tmp_path: Path) -> None:
    """What Feast executes when it loads a view from a registry stays a text here."""
    folder = build(tmp_path / "repo", BY_CODE["SKW022"].bad)
    applied(folder)
    (folder / "features.py").unlink()
    (folder / "shared.py").unlink()
    mark = tmp_path / "run"
    path = folder / "data" / "registry.db"
    registry = Registry()
    registry.ParseFromString(path.read_bytes())
    function = registry.on_demand_feature_views[0].spec.feature_transformation.user_defined_function
    function.body_text = f"open({str(mark)!r}, 'w').close()\n{function.body_text}"
    path.write_bytes(registry.SerializeToString())
    report = lint(folder, registry=True)
    assert ("SKW018", "halves") in found(report)
    assert not mark.exists()
    feast.FeatureStore(repo_path=str(folder)).get_on_demand_feature_view("halves")
    assert mark.exists(), "Feast no longer runs it: say so in docs/lint.md"


def test_a_registry_without_anything_is_no_clean_one(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo")
    for _ in range(2):  # the first time may not make one
        with pytest.raises(RepoError, match="nothing is registered for project 'example': run `feast apply`"):
            lint(folder, registry=True)
    assert not (folder / "data" / "registry.db").exists()
    applied(folder)
    other = yaml.safe_load((folder / "feature_store.yaml").read_text()) | {"project": "another"}
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(other))
    with pytest.raises(RepoError, match="for project 'another'"):
        lint(folder, registry=True)


def test_an_edited_transform_is_found_where_it_is_registered(tmp_path: Path) -> None:
    """Before `feast apply` the edit is what is meant: only what is registered is out of step."""
    folder = build(tmp_path / "repo", BY_CODE["SKW024"].good)
    applied(folder)
    assert not lint(folder, registry=True).findings
    shared = folder / "shared.py"
    shared.write_text(shared.read_text().replace("rating / 2", "rating / 3"))
    assert not lint(folder).findings
    (finding,) = lint(folder, registry=True).findings
    assert (finding.code, finding.name) == ("SKW024", "halves")
    assert re.fullmatch(r"shared:halved is [0-9a-f]{12} here, and [0-9a-f]{12} registered", finding.message)
    shared.unlink()
    (finding,) = lint(folder, registry=True).findings
    assert finding.message == "shared:halved cannot be imported here: serving here would fail"


def test_a_store_is_linted_by_its_registry(tmp_path: Path) -> None:
    report = lint(applied(faulty(tmp_path / "repo")))
    assert (report.origin, found(report)) == ("registry", {("SKW001", "stats"), ("SKW013", "stats")})
    assert all(finding.place is None for finding in report.findings)


def test_a_store_without_a_file(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo", provider="local", offline_store={"type": "dask"})
    applied(folder)
    raw = yaml.safe_load((folder / "feature_store.yaml").read_text())
    store = feast.FeatureStore(config=feast.RepoConfig(**raw))
    (folder / "feature_store.yaml").unlink()
    assert found(lint(store)) >= {("SKW001", "stats"), ("SKW026", "feature_store.yaml")}


def test_tags_ignore_at_the_object_and_at_the_feature(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo", '{"skew.ignore": "SKW001"}', '{"skew.ignore": "SKW013"}')
    report = lint(folder)
    assert (report.findings, report.ignored) == ([], 2)
    assert lint(folder, registry=False, select=["SKW001"]).ignored == 1


def test_tags_of_the_project_ignore_what_stands_in_the_yaml(tmp_path: Path) -> None:
    project = 'project = Project(name="example", tags={"skew.ignore": "SKW026"})\n'
    folder = build(tmp_path / "repo", Example(BY_CODE["SKW026"].bad.python + project, BY_CODE["SKW026"].bad.yaml))
    report = lint(folder)
    assert (report.findings, report.ignored) == ([], 1)


def test_pyproject_ignores_by_code_and_by_name(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.skew]\nignore = ["SKW013"]\n[tool.skew.per-object-ignore]\n"st*" = ["SKW001"]\ngone = ["SKW001"]\n'
    )
    report = lint(folder)
    assert (report.findings, report.ignored) == ([], 1)
    assert report.notes == ["per-object-ignore of [tool.skew] names 'gone', and no object is called so"]


def test_what_cannot_be_linted_is_said_in_one_line(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo")
    with pytest.raises(SettingsError, match=r"'SKW013x' is not a rule \(did you mean 'SKW013'\?\)"):
        lint(folder, select=["SKW013x"])
    with pytest.raises(RepoError, match="no folder"):
        lint(tmp_path / "nowhere")
    with pytest.raises(RepoError, match="not a Feast repo"):
        lint(tmp_path)
    (folder / "features.py").write_text("raise RuntimeError('of\\nits own')\n")
    with pytest.raises(RepoError, match=r"cannot be imported \(RuntimeError: of its own\)"):
        lint(folder)
    (folder / "feature_store.yaml").write_text("- 1\n")
    with pytest.raises(RepoError, match="holds no settings"):
        lint(folder)
    (folder / "feature_store.yaml").write_text("a: [\n")
    with pytest.raises(RepoError, match="cannot be read"):
        lint(folder)


def test_a_repo_without_python_files_points_to_the_registry(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo")
    for file in folder.glob("*.py"):
        file.unlink()
    with pytest.raises(RepoError, match="--registry"):
        lint(folder)


def test_files_that_define_nothing_are_told_of(tmp_path: Path) -> None:
    folder = faulty(tmp_path / "repo")
    (folder / "features.py").write_text("# nothing yet\n")
    assert lint(folder).notes == ["the Python files define no Feast object; --registry checks what is registered"]


def test_a_mapped_column_is_there(tmp_path: Path) -> None:
    """A source's column that a field_mapping renames is found, in its own type, under the feature's name."""
    mapped = """
rows = FileSource(
    name="rows", path=str(DATA / "stats.parquet"), timestamp_field="event_timestamp",
    created_timestamp_column="created", field_mapping={"rating": "stars"},
)
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3), schema=[Field(name="stars", dtype={dtype})], source=rows,
)
"""
    assert not lint(build(tmp_path / "right", Example(mapped.replace("{dtype}", "Float64")))).findings
    assert found(lint(build(tmp_path / "wrong", Example(mapped.replace("{dtype}", "String"))))) == {("SKW014", "stats")}


def test_a_ttl_of_a_lifetime_is_none(tmp_path: Path) -> None:
    long = BY_CODE["SKW001"].bad.python.replace("timedelta(0)", "timedelta(seconds=8_640_000_000)")
    (finding,) = lint(build(tmp_path / "repo", Example(long))).findings
    assert (finding.code, finding.message.partition(":")[0]) == ("SKW001", "has a TTL of 100,000 days")


def test_a_source_without_a_name_is_found_at_its_view(tmp_path: Path) -> None:
    unnamed = BY_CODE["SKW008"].bad.python.replace('name="rows", ', "")
    folder = build(tmp_path / "repo", Example(unnamed))
    (finding,) = lint(folder).findings
    assert finding.place is not None
    assert (folder / "features.py").read_text().splitlines()[finding.place.line - 1] == "stats = FeatureView("


def test_lint_does_not_open_the_stores(tmp_path: Path) -> None:
    """A store whose client is not installed is no reason not to lint; nor is one that is down."""
    folder = faulty(
        tmp_path / "repo",
        registry={"registry_type": "sql", "path": "postgresql+psycopg://nobody@localhost:1/none"},
        online_store={"type": "dynamodb", "region": "nowhere"},
        offline_store={"type": "bigquery"},
    )
    assert ("SKW001", "stats") in found(lint(folder))


@pytest.mark.parametrize("kind", Messages.KINDS)
def test_a_registry_that_lacks_what_it_refers_to(local_template: Path, kind: str) -> None:
    """Deleted entities, sources and views leave references behind: lint says what it can, and does not crash."""
    path = local_template / "data" / "registry.db"
    registry = Registry()
    registry.ParseFromString(path.read_bytes())
    messages = Messages({one: [] if one == kind else list(getattr(registry, one)) for one in Messages.KINDS})
    repo = read_repo(messages, read_settings(local_template / "feature_store.yaml"), "registry")
    report = check(repo, LintConfig())
    assert report.checked == 1 + sum(len(group) for group in messages.by_kind.values()) - _dummies(messages)


def _dummies(messages: Messages) -> int:
    return sum(entity.spec.name == DUMMY_ENTITY_NAME for entity in messages.by_kind["entities"])
