"""Names of result files, whatever is in their ids and URLs."""

import hashlib

import pytest

from airflow_pixverse.api.results import JobResult
from airflow_pixverse.storage.destination import file_name_of, parse_file_name

JOB = "user:12-pixverse:mary-jane@example.com-video:34"


def name_of(content_type="video/mp4", template="{type}-{number}.{ext}", **fields):
    defaults = {"id": JOB, "kind": "video", "url": "https://media.example/a.mp4"}
    return file_name_of(JobResult.model_validate(defaults | fields), content_type, template)


def test_a_file_has_type_and_number_of_its_job():
    assert name_of() == "video-34.mp4"
    assert name_of(template="{number}/{type}.{ext}") == "34/video.mp4"
    assert name_of(template="fox") == "fox"


@pytest.mark.parametrize(
    ("job_id", "number"),
    [
        ("user:1-pixverse:a@example.com-image:9", "9"),
        ("123", "123"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "_"),
        ("a/b\\c", "a_b_c"),
        ("a b\tc", "a_b_c"),
        ("\N{CAT FACE}", "_"),
        ("a*?[x]", "a_x_"),
        ("CON:", "CON_"),
        ("{type}", "_type_"),
        ("%2e%2e%2f", "_2e_2e_2f"),
    ],
)
def test_an_odd_id_becomes_a_part_of_a_name(job_id, number):
    assert name_of(id=job_id, kind="video").removesuffix(".mp4").partition("-")[2] == number


def test_an_id_of_any_length_makes_a_name_that_file_systems_take():
    assert len(name_of(id="x" * 500)) <= 255


def test_without_an_id_the_number_is_a_hash_of_the_path_of_the_url():
    url = "https://media.example/a.mp4"
    digest = hashlib.sha256(b"a.mp4").hexdigest()
    assert name_of(id=None, kind=None) == f"file-{digest[:16]}.mp4"
    again = [f"{url}?signature=x", f"{url}?signature=y", f"{url}#t=1", "https://other.example/a.mp4"]
    assert {name_of(id=None, url=one) for one in again} == {name_of(id=None, url=url)}
    others = ["https://media.example/b.mp4", "https://media.example/a/a.mp4", "https://media.example"]
    assert len({name_of(id=None, url=one) for one in [url, *others]}) == 4


@pytest.mark.parametrize("kind", ["../up", "a/b", "..", "\\\\host", ""])
def test_an_odd_type_is_no_path(kind):
    name = name_of(id=None, kind=kind)
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith(".")


@pytest.mark.parametrize(
    ("content_type", "url", "extension"),
    [
        ("video/mp4", "https://x/a.bin", "mp4"),
        ("image/jpeg", "https://x/a", "jpg"),
        ("image/png", "https://x/a", "png"),
        ("image/webp", "https://x/a", "webp"),
        ("audio/mpeg", "https://x/a", "mp3"),
        ("audio/wav", "https://x/a", "wav"),
        ("video/quicktime", "https://x/a", "mov"),
        ("", "https://x/a.MP4?signature=x.y", "mp4"),
        ("application/octet-stream", "https://x/a.webm#t=1", "webm"),
        ("application/x-sh", "https://x/a.mp4", "mp4"),
        ("video/x-unheard-of", "https://x/a.mkv", "mkv"),
        ("", "https://x/a", "bin"),
        ("", "https://x/a.toolong", "bin"),
        ("", "https://x/a.m%2Fp4", "bin"),
        ("", "https://x.com", "bin"),
        ("", "https://[bad", "bin"),
    ],
)
def test_the_extension_is_that_of_the_content_type_or_of_the_url(content_type, url, extension):
    assert name_of(content_type, url=url) == f"video-34.{extension}"


@pytest.mark.parametrize(
    "template",
    [
        "{type}-{number}.{ext}",
        "fox.mp4",
        "{number}",
        "{ext}",
        "a/{type}/{number}.{ext}",
        "{number:>012}.{ext}",
        "f\u00fcchse.{ext}",
        ".{ext}",
        "{{x}}.mp4",
        f"{'x' * 150}/{'y' * 146}.mp4",
    ],
)
def test_a_name_may_have_fields_and_folders(template):
    assert parse_file_name(template) == template


@pytest.mark.parametrize(
    "template",
    [
        "",
        "  ",
        "/a.mp4",
        "a//b.mp4",
        "a/",
        "../a.mp4",
        "a/../b.mp4",
        "./a.mp4",
        "..",
        "a\\b.mp4",
        "a\nb.mp4",
        "a\x00.mp4",
        "*.mp4",
        "a?.mp4",
        "a[1].mp4",
        "{id}.mp4",
        "{}.mp4",
        "{0}.mp4",
        "{type.__class__}",
        "{type[0]}",
        "{type",
        "type}",
        "{type:{id}}",
        "{type:{}}",
        "{type!x}",
        "{number:d}",
        "{number:>999}",
        "{number:>99999999999}",
        "x" * 151,
        "\u00fc" * 76,
        None,
        5,
        ["a.mp4"],
        b"a.mp4",
    ],
)
def test_what_is_no_name_is_refused_and_the_message_says_what_is_one(template):
    with pytest.raises(
        ValueError, match=r"^file_name must be the name of a file.*\{ext\}, \{number\}, \{type\}"
    ):
        parse_file_name(template)
