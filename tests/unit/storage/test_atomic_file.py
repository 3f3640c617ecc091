"""A file in object storage is there whole, or what was there before is."""

import pytest

from airflow_pixverse.storage.atomic_file import AtomicFile, check_writable
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import object_path

PARTS = [b"a" * 6 * 2**20, b"b" * 6 * 2**20]  # more than a part of an upload in parts


class Place:
    """A folder, on this machine or in a bucket, and what is in it."""

    def __init__(self, uri, files):
        self.path = object_path(uri)
        self.uri = uri
        self.files = files


@pytest.fixture(params=["file", "s3"])
def place(request, tmp_path):
    if request.param == "file":

        def files():
            return {
                str(one.relative_to(tmp_path)): one.read_bytes()
                for one in tmp_path.rglob("*")
                if one.is_file()
            }

        return Place(f"file://{tmp_path}", files)
    bucket = request.getfixturevalue("bucket")
    return Place(bucket.url, lambda: {key: bucket.get(key) for key in bucket.keys})


def write(folder, name, *parts):
    with AtomicFile(folder) as file:
        for part in parts:
            file.write(part)
        return file.move_to(name)


def test_a_file_has_its_name_once_it_is_there_whole(place):
    with AtomicFile(place.path) as file:
        for part in PARTS:
            file.write(part)
            assert "a.mp4" not in place.files()
        assert file.move_to("a.mp4") == f"{place.uri}/a.mp4"
        assert file.written == 12 * 2**20
    assert place.files() == {"a.mp4": b"".join(PARTS)}


def test_a_file_takes_the_place_of_an_older_one(place):
    write(place.path, "a.mp4", b"old")
    write(place.path, "a.mp4", b"new")
    assert place.files() == {"a.mp4": b"new"}


def test_a_name_may_have_folders(place):
    assert write(place.path, "x/y/a.mp4", b"film") == f"{place.uri}/x/y/a.mp4"
    assert place.files() == {"x/y/a.mp4": b"film"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("parts", [[], [b"some"], PARTS], ids=["nothing", "a little", "much"])
def test_an_error_in_between_leaves_what_was_there_and_nothing_else(place, error, parts):
    write(place.path, "a.mp4", b"old")

    def break_off():
        with AtomicFile(place.path) as file:
            for part in parts:
                file.write(part)
            raise error

    with pytest.raises(error):
        break_off()
    assert place.files() == {"a.mp4": b"old"}


def test_a_file_that_is_not_moved_is_not_kept(place):
    with AtomicFile(place.path) as file:
        file.write(b"film")
    assert place.files() == {}


def test_a_file_that_has_arrived_in_part_does_not_take_its_name(place, monkeypatch):
    write(place.path, "a.mp4", b"old")
    info = place.path.fs.info
    monkeypatch.setattr(place.path.fs, "info", lambda path: info(path) | {"size": 3})
    with pytest.raises(StorageError, match=r"a\.mp4 cannot be written: of 4 bytes, 3 arrived"):
        write(place.path, "a.mp4", b"film")
    monkeypatch.undo()
    assert place.files() == {"a.mp4": b"old"}


def test_a_folder_of_that_name_is_in_the_way(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(StorageError, match=r"a\.mp4 cannot be written: .*"):
        write(object_path(f"file://{tmp_path}"), "a.mp4", b"film")
    assert [one.name for one in tmp_path.rglob("*")] == ["a.mp4"]


def test_a_folder_of_this_machine_is_made(tmp_path):
    write(object_path(f"file://{tmp_path}/x/y"), "a.mp4", b"film")
    assert (tmp_path / "x" / "y" / "a.mp4").read_bytes() == b"film"


def test_a_bucket_is_never_made(object_store, bucket):
    missing = object_path(f"{bucket.url}-missing/folder")
    with pytest.raises(
        StorageError, match=r"-missing/folder.* cannot be written.*: FileNotFoundError: .*bucket"
    ):
        write(missing, "a.mp4", b"film")
    with pytest.raises(StorageError, match="cannot be written"):
        check_writable(missing)
    with pytest.raises(FileNotFoundError):
        missing.fs.ls(f"{bucket.name}-missing")


@pytest.fixture
def locked(tmp_path):
    """A folder that is a file, which not even the superuser can write to."""
    (tmp_path / "locked").write_bytes(b"")
    return object_path(f"file://{tmp_path}/locked")


def test_a_folder_that_cannot_be_written_to_is_named(locked):
    for attempt in (lambda: write(locked, "a.mp4", b"x"), lambda: check_writable(locked)):
        with pytest.raises(
            StorageError, match=rf"^{locked} cannot be written to: (NotADirectory|FileExists)Error: "
        ):
            attempt()


def test_a_check_leaves_nothing_behind(place):
    check_writable(place.path)
    assert place.files() == {}


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def no_space(*_args):
        raise OSError(28, "No space left on device")

    with AtomicFile(object_path(f"file://{tmp_path}")) as file:
        monkeypatch.setattr(file._file, "write", no_space)
        with pytest.raises(StorageError, match=r"cannot be written to: OSError: .*No space left"):
            file.write(b"film")
    assert list(tmp_path.iterdir()) == []
