"""What does not belong into a spool: it ends nothing, hangs nothing, and every row of ours is stored or counted."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skew_ext.errors import SpoolError
from skew_ext.serving.segment_file import mapped, segment_name, segments
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping import reader
from skew_ext.shipping.ledger import Ledger
from skew_ext.shipping.metrics import metrics_text
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import Repo
from tests.law import REFERENCES, make_repo, settled, spool
from tests.nursery import Nursery, nursery


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery")) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, processes: Nursery) -> Path:
    """Make a repo whose spool holds 20 rows of each of two servers that have ended."""
    repo = make_repo(tmp_path_factory.mktemp("served") / "repo")
    for _ in range(2):
        assert processes.start("serve", repo.path, 9).wait() == 0
    return repo.path


class Copy:
    """A copy of the served spool, with its own log."""

    def __init__(self, repo: Path, to: Path) -> None:
        shutil.copytree(repo / "data/skew/spool", to / "spool")
        self.log = to / "log"
        self.spool = SpoolDirectory(to / "spool")
        marker = self.spool.marker
        marker.write_text(marker.read_text().replace(str(repo / "data/skew/log"), str(self.log)))
        self.writer = self.spool.writer_folders()[0]
        self.segment = segments(self.writer)[0]


@pytest.fixture
def copy(served: Path, tmp_path: Path) -> Copy:
    return Copy(served, tmp_path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("precious")


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def loop(path: Path) -> None:
    path.symlink_to(path)


def short(path: Path) -> None:
    path.write_bytes(b"abc")


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4096)


def socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


MAKE: list[Callable[[Path], None]] = [fifo, folder, link, loop, short, empty, noise, socket]
PLACES = ["copy.seg", "00000002.seg", "00000000.seg", "99999999999.seg", "-1.seg", "note.txt", "1e3.seg", "\udcff.seg"]


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("place", PLACES)
def test_a_stranger_beside_a_writers_segments(copy: Copy, place: str, make: Callable[[Path], None]) -> None:
    make(copy.writer / place)
    assert_all_shipped(copy)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("place", ["note.txt", "0" * 32, "copy of a writer", ".hidden", "." + "1" * 32])
def test_a_stranger_among_the_writers(copy: Copy, place: str, make: Callable[[Path], None]) -> None:
    make(copy.spool.writers / place)
    assert_all_shipped(copy)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("place", ["lock", "state"])
def test_a_stranger_in_place_of_a_writers_file(copy: Copy, place: str, make: Callable[[Path], None]) -> None:
    (copy.writer / place).unlink()
    make(copy.writer / place)
    Shipper(copy.spool.path).drain()
    counts = log_stats(copy.spool.path)
    assert (counts.stored, counts.unaccounted) == (40, 0)


@pytest.mark.parametrize("make", [fifo, link, loop, short, empty, noise, socket])
@pytest.mark.parametrize(
    "place", ["flush", "retry", "dead_letters", "mismatches", "losses", "set_aside", "shipper.log"]
)
def test_a_stranger_in_place_of_the_spools_files(copy: Copy, place: str, make: Callable[[Path], None]) -> None:
    (copy.spool.path / place).unlink(missing_ok=True)
    make(copy.spool.path / place)
    assert_all_shipped(copy)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("place", ["schemas/x.json", f"dead_letters/{'0' * 32}-000000000001.json", "mismatches/1-beef"])
def test_a_stranger_in_the_spools_folders(copy: Copy, place: str, make: Callable[[Path], None]) -> None:
    (copy.spool.path / place).parent.mkdir(exist_ok=True)
    make(copy.spool.path / place)
    assert_all_shipped(copy)
    Shipper(copy.spool.path).drain(retry_dead_letters=True)


def assert_all_shipped(copy: Copy) -> None:
    """Drain twice: all rows are stored, and neither counting nor the metrics mind."""
    before = log_stats(copy.spool.path)
    assert (before.in_spool, before.unaccounted) == (40, 0)
    for _ in range(2):
        Shipper(copy.spool.path).drain()
    counts = log_stats(copy.spool.path)
    assert (counts.accepted, counts.stored, counts.in_spool, counts.dropped) == (40, 40, 0, {})
    assert "skew_log_records_total" in metrics_text(counts)


def test_what_is_not_ours_is_kept_and_named(copy: Copy) -> None:
    folder(copy.writer / "theirs")
    short(copy.spool.writers / "note.txt")
    (copy.writer / segment_name(7)).write_bytes(b"not a segment at all")
    name = copy.writer.name
    assert log_stats(copy.spool.path).strangers == [
        f"writers/{name}/{segment_name(7)}",
        f"writers/{name}/theirs",
        "writers/note.txt",
    ]
    assert_all_shipped(copy)
    assert (copy.spool.set_aside / name / "theirs/inside").read_text() == "precious"
    assert (copy.spool.set_aside / name / segment_name(7)).exists()
    assert (copy.spool.writers / "note.txt").exists()


@pytest.mark.parametrize("number", [0, 2, 77])
def test_a_copied_segment_is_read_once(copy: Copy, number: int) -> None:
    shutil.copy(copy.segment, copy.writer / segment_name(number))
    other = copy.spool.writer_folders()[1]
    shutil.copy(copy.segment, other / segment_name(5))
    assert_all_shipped(copy)


def test_a_folder_that_a_link_leads_to_is_not_touched(copy: Copy, tmp_path: Path) -> None:
    precious = tmp_path / ("a" * 32)
    precious.mkdir()
    (precious / segment_name(1)).write_text("precious")
    (copy.spool.writers / precious.name).symlink_to(precious)
    ledger = Ledger()
    ledger.leaving.append(precious.name)
    ledger.save(copy.spool.ledger)
    assert_all_shipped(copy)
    assert (precious / segment_name(1)).read_text() == "precious"


@pytest.mark.parametrize("name", ["../../precious", "/precious", "..", ""])
def test_a_ledger_that_names_a_path_is_refused(copy: Copy, name: str) -> None:
    ledger = Ledger()
    ledger.leaving.append(name)
    ledger.save(copy.spool.ledger)
    with pytest.raises(SpoolError, match=r"ledger\.json cannot be read .* is no writer's name"):
        Shipper(copy.spool.path).drain()


def test_a_ledger_that_was_edited_is_refused(copy: Copy) -> None:
    Shipper(copy.spool.path).drain()
    text = copy.spool.ledger.read_text()
    copy.spool.ledger.write_text(text.replace('"stored": 40', '"stored": 41'))
    with pytest.raises(SpoolError, match="its checksum does not fit"):
        log_stats(copy.spool.path)


@pytest.mark.parametrize(
    "damage", [lambda text: text[:40], lambda _: "{}", lambda text: text.replace("rating", "ratinx")]
)
def test_a_damaged_schema_sets_its_records_aside(copy: Copy, damage: Callable[[str], str]) -> None:
    kept = {path: path.read_text() for path in copy.spool.schemas.iterdir()}
    for path, text in kept.items():
        path.write_text(damage(text))
    Shipper(copy.spool.path).drain()
    assert log_stats(copy.spool.path).dead_lettered == 40
    for path, text in kept.items():
        path.write_text(text)
    Shipper(copy.spool.path).drain(retry_dead_letters=True)
    counts = log_stats(copy.spool.path)
    assert (counts.stored, counts.dead_lettered, counts.unaccounted) == (40, 0, 0)


def test_a_segment_whose_head_is_damaged_gives_its_records(copy: Copy) -> None:
    data = bytearray(copy.segment.read_bytes())
    data[:64] = os.urandom(64)
    copy.segment.write_bytes(data)
    assert_all_shipped(copy)


def test_a_writer_that_cannot_be_read_holds_up_no_other(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:

    def failing(path: Path) -> object:
        if path.parent == copy.writer:
            raise OSError(5, "Input/output error")
        return mapped(path)

    monkeypatch.setattr(reader, "mapped", failing)
    Shipper(copy.spool.path).drain()
    counts = log_stats(copy.spool.path)
    assert (counts.stored, counts.in_spool, counts.unaccounted) == (20, 20, 0)
    assert counts.unreadable == [copy.writer.name]
    monkeypatch.undo()
    assert_shipped_after(copy)


def assert_shipped_after(copy: Copy) -> None:
    Shipper(copy.spool.path).drain()
    assert log_stats(copy.spool.path).stored == 40


def test_a_service_that_cannot_be_stored_holds_up_no_other(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    log = repo.path / "data/skew/log"
    log.mkdir(parents=True)
    (log / "scoring").write_text("a file stands where the service's folder should be")
    repo.store.get_online_features(repo.store.get_feature_service("scoring"), [{"driver": 1}])
    repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    Shipper(spool(repo)).drain()
    counts = log_stats(spool(repo))
    assert (counts.stored, counts.dead_lettered, counts.in_spool) == (1, 1, 0)
    (log / "scoring").unlink()
    Shipper(spool(repo)).drain(retry_dead_letters=True)
    assert settled(repo).stored == 2


def test_a_spool_that_others_can_write_is_refused(copy: Copy) -> None:
    copy.spool.path.chmod(0o707)
    with pytest.raises(SpoolError, match=r"can be written by other users, .* run chmod go-w on it"):
        Shipper(copy.spool.path)
    copy.spool.path.chmod(0o770)  # as a volume's folder is, after Kubernetes has given it to the pod's group
    assert_all_shipped(copy)
    assert copy.spool.path.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("place", ["spool.json", "ledger.json"])
def test_a_file_of_another_user_is_not_taken(copy: Copy, place: str) -> None:
    Ledger().save(copy.spool.ledger)
    os.chown(copy.spool.path / place, 12345, -1)
    with pytest.raises(SpoolError, match=r"cannot be read .* the file of another user"):
        Shipper(copy.spool.path).drain()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_spool_is_refused(copy: Copy) -> None:
    os.chown(copy.spool.path, 12345, -1)
    with pytest.raises(SpoolError, match="belongs to user 12345, and this process runs as user 0"):
        log_stats(copy.spool.path)


def test_files_of_dead_letters_are_private(copy: Copy) -> None:
    for path in copy.spool.schemas.iterdir():
        path.write_text("{")
    before = os.umask(0)
    try:
        Shipper(copy.spool.path).drain()
    finally:
        os.umask(before)
    letters = list(copy.spool.dead_letters.iterdir())
    assert len(letters) == 40
    assert {path.stat().st_mode & 0o777 for path in letters} == {0o600}


def test_a_folder_made_by_hand_becomes_a_private_spool(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    spool(repo).mkdir(parents=True, mode=0o777)
    spool(repo).chmod(0o777)
    repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    assert settled(repo).stored == 1
    assert spool(repo).stat().st_mode & 0o777 == 0o700
