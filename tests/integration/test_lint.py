"""Lint on whole repos: Feast's templates, our own repo, registries nobody trusts, and what it prints."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import feast
import pytest
import yaml
from click.testing import CliRunner, Result
from feast.protos.feast.core.Registry_pb2 import Registry

from skew_ext import lint
from skew_ext.audit.causes import CAUSES
from skew_ext.cli.main import cli
from skew_ext.errors import RepoError, SettingsError
from skew_ext.linting.pages import page
from skew_ext.linting.report import LintReport
from skew_ext.linting.rule import Example
from skew_ext.linting.rules import BY_CODE, RULES
from tests.flights import build_sources, copy_repo
from tests.flights import run as run_in
from tests.lint_repos import applied, build

TEMPLATES = Path(feast.__file__).parent / "templates"
FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2
UNINSTALLED = ("couchbase", "minimal", "rag", "ray", "ray_rag")
BROKEN = {"pytorch_nlp": {("SKW022", "sentiment_prediction"), ("SKW023", "sentiment_prediction")}}
BAD = """
stats = FeatureView(
    name="stats", entities=[driver],
    schema=[Field(name="rating", dtype=Float32, tags={feature_tags}), Field(name="trips", dtype=Int64)],
    source=source, tags={tags},
)
"""


def found(report: LintReport) -> set[tuple[str, str]]:
    return {(finding.code, finding.name) for finding in report.findings}


def faulty(folder: Path, tags: str = "{}", feature_tags: str = "{}", **settings: object) -> Path:
    """Make a repo with two findings: SKW001 at the view, SKW013 at its feature."""
    return build(folder, Example(BAD.format(tags=tags, feature_tags=feature_tags)), **settings)


@pytest.fixture
def skew(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `skew` in this process, in a folder."""

    def run(folder: Path, *arguments: str) -> Result:
        monkeypatch.chdir(folder)
        return CliRunner().invoke(cli, arguments)

    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return run


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


def test_the_command_prints_as_ruff_does(tmp_path: Path, skew: Callable[..., Result]) -> None:
    faulty(tmp_path / "repo")
    done = skew(tmp_path, "-c", "repo", "lint")
    assert done.exit_code == FINDINGS, done.output
    lines = done.output.splitlines()
    start = (tmp_path / "repo" / "features.py").read_text().splitlines().index("stats = FeatureView(") + 1
    assert lines[0].startswith(f"repo/features.py:{start}: SKW001 [warn] feature view stats: has no TTL")
    assert lines[1] == f"    help: {BY_CODE['SKW001'].remedy}"
    assert lines[2].startswith(
        f"repo/features.py:{start}: SKW013 [warn] feature view stats, feature rating: is a double"
    )
    assert lines[-1].startswith("2 warn in 4 objects of project example, from its Python files.")
    assert len(skew(tmp_path, "-c", "repo", "lint", "--output-format", "concise").output.splitlines()) == 3


def test_exit_codes(tmp_path: Path, skew: Callable[..., Result]) -> None:
    faulty(tmp_path / "repo")
    assert skew(tmp_path, "-c", "repo", "lint", "--fail-on", "fail").exit_code == FINE
    assert skew(tmp_path, "-c", "repo", "lint", "--select", "SKW002,SKW003").exit_code == FINE
    assert skew(tmp_path, "-c", "repo", "lint", "--ignore", "SKW001", "--ignore", "SKW013").exit_code == FINE
    wrong = skew(tmp_path, "-c", "repo", "lint", "--select", "SKW0001")
    assert (wrong.exit_code, wrong.stdout) == (COULD_NOT_RUN, "")
    assert wrong.stderr.startswith("skew: --select: 'SKW0001' is not a rule (did you mean 'SKW001'?)")
    nowhere = skew(tmp_path, "-c", "nowhere", "lint")
    assert (nowhere.exit_code, nowhere.stderr.count("\n")) == (COULD_NOT_RUN, 1)


def test_json_alone_on_standard_output_whatever_the_repo_prints(tmp_path: Path, skew: Callable[..., Result]) -> None:
    folder = faulty(tmp_path / "repo")
    with (folder / "features.py").open("a") as file:
        file.write("print('a word of its own')\n")
    done = skew(folder, "lint", "--json", "-")
    assert done.exit_code == FINDINGS
    report = json.loads(done.stdout)
    assert {key: report[key] for key in ("schema", "project", "origin", "checked", "ignored", "counts")} == {
        "schema": 1,
        "project": "example",
        "origin": "files",
        "checked": 4,
        "ignored": 0,
        "counts": {"info": 0, "warn": 2, "fail": 0},
    }
    first = report["findings"][0]
    assert (first["code"], first["rule"], first["file"]) == ("SKW001", "ttl-missing", "features.py")
    assert (first["object"], first["feature"]) == ({"kind": "feature view", "name": "stats"}, None)
    assert first["line"] > 1


def test_annotations_for_github(tmp_path: Path, skew: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = faulty(tmp_path / "a" / "repo")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    done = skew(folder, "lint", "--output-format", "github", "--select", "SKW001")
    start = (folder / "features.py").read_text().splitlines().index("stats = FeatureView(") + 1
    assert done.stdout == (
        f"::warning file=a/repo/features.py,line={start},title=SKW001 (ttl-missing)::feature view stats: has no TTL: "
        "values of any age are trained on and served. Help: give the view a ttl: the longest that a value still means "
        "something\n"
    )


def test_a_name_cannot_begin_a_line_of_its_own(tmp_path: Path, skew: Callable[..., Result]) -> None:
    """Tags' names are data: neither a terminal nor GitHub takes one for a command."""
    folder = faulty(tmp_path / "repo", r'{"skew.x\n::error::\x1b[31m%0A": "1"}')
    shown = skew(folder, "lint", "--select", "SKW039").stdout
    assert "\x1b[31m" not in shown
    assert "\n::error" not in shown
    annotated = skew(folder, "lint", "--select", "SKW039", "--output-format", "github").stdout
    assert annotated.count("\n") == 1
    assert "\x1b" not in annotated


def test_the_registry_option(tmp_path: Path, skew: Callable[..., Result]) -> None:
    folder = faulty(tmp_path / "repo")
    applied(folder)
    done = skew(folder, "lint", "--registry")
    assert done.output.startswith("registry: SKW001 [warn] feature view stats: has no TTL")


def test_explain(tmp_path: Path, skew: Callable[..., Result]) -> None:
    shown = skew(tmp_path, "explain", "SKW003").output
    assert shown.startswith("SKW003 ttl-below-two-intervals [warn]\n")
    assert [
        line for line in shown.splitlines() if line.istitle() or line.startswith(("What", "Found", "Not", "To"))
    ] == [
        "Why",
        "What to do",
        "Found here",
        "Not here",
        "To ignore it",
    ]
    assert max(len(line) for rule in RULES for line in page(rule).splitlines()) <= 100
    assert skew(tmp_path, "explain", "ttl-below-two-intervals").output == shown
    listed = skew(tmp_path, "explain").output.splitlines()
    assert [line.split()[0] for line in listed if line.startswith("SKW")] == [rule.code for rule in RULES]
    assert [line.split()[0] for line in listed[len(RULES) + 3 :]] == list(CAUSES)
    for cause in CAUSES:
        explained = skew(tmp_path, "explain", cause)
        assert explained.exit_code == FINE
        assert explained.output.startswith(f"{cause} [cause of a differing cell]\n\n")
    wrong = skew(tmp_path, "explain", "SKW0O3")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (COULD_NOT_RUN, 1)
    assert "did you mean" in wrong.stderr


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
