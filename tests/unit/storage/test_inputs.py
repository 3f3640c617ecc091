"""Inputs: the values of a payload that are files, and what takes their place."""

import json

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_pixverse.api.uploads import Upload
from airflow_pixverse.storage.inputs import Input, inputs_of, tagged, with_uploads
from airflow_pixverse.submission.request import SubmitRequest, parse_payload

PICTURE = "s3://bucket/a.png"


def tag(uri):
    return {"object_storage_file": uri}


@pytest.mark.parametrize(
    "key",
    ["first_frame_path", "image_path_1", "path", "PATH", "video_path", "reference_path_12", "frameX_path"],
)
def test_a_string_under_a_key_of_a_path_is_a_file(key):
    assert tagged({key: PICTURE}) == {key: tag(PICTURE)}


@pytest.mark.parametrize(
    "key", ["prompt", "first_frame_url", "pathology", "pathway", "image_paths", "xpath", "path_x"]
)
def test_a_string_under_another_key_is_none(key):
    assert tagged({key: PICTURE}) == {key: PICTURE}


@pytest.mark.parametrize(
    "value", [" s3://bucket/a.png", "s3://bucket/a.png \t", "\u00a0s3://bucket/a.png\r\n"]
)
def test_blanks_around_a_path_are_dropped(value):
    assert tagged({"first_frame_path": value}) == {"first_frame_path": tag(PICTURE)}
    assert tagged({"prompt": value}) == {"prompt": value}


@pytest.mark.parametrize(
    "value",
    [
        "s3://",
        " s3:///a.png",
        ' "s3://bucket/a.png"',
        "\ufeffs3://bucket/a.png",
        "= s3://bucket/a.png",
        "a://b\nc",
    ],
)
def test_what_looks_like_a_path_and_is_none_is_refused(value):
    with pytest.raises(ValueError, match=r"^first_frame_path must be a path such as s3://"):
        tagged({"prompt": "a cat", "first_frame_path": value})


@pytest.mark.parametrize("key", [" first_frame_path", "image_path_1 ", "\tpath"])
def test_a_key_that_blanks_keep_from_being_that_of_a_path_is_refused(key):
    with pytest.raises(ValueError, match=rf"^{key.strip()} is given as .*: leave out the blanks around it"):
        tagged({"images": [{key: PICTURE}]})
    assert tagged({" prompt": "a cat"}) == {" prompt": "a cat"}


@pytest.mark.parametrize(
    "value",
    ["upload/1.png", "https://example.com/a.png", "HTTP://x/?u=s3://b/a.png", "a.png", "/tmp/a.png", ""],
)
def test_what_the_service_names_itself_stays_as_it_is(value):
    assert tagged({"first_frame_path": value}) == {"first_frame_path": value}


def test_blanks_around_what_the_service_names_itself_are_dropped():
    assert tagged({"first_frame_path": " upload/1.png"}) == {"first_frame_path": "upload/1.png"}


@pytest.mark.parametrize("key", ["first_frame_path", "prompt", "image"])
def test_a_path_of_airflow_is_a_file_under_any_key(tmp_path, key):
    uri = f"file://{tmp_path}/a.png"
    assert tagged({key: ObjectStoragePath(uri)}) == {key: tag(uri)}


def test_files_are_found_at_any_depth_with_the_key_that_they_are_under(tmp_path):
    uri = f"file://{tmp_path}/b.png"
    payload = {
        "prompt": "s3://bucket/no.png",
        "paths": [ObjectStoragePath(uri), "s3://bucket/no.png"],
        "image_path": [PICTURE, "upload/1.png", [PICTURE]],
        "deep": {"er": ({"last_frame_path": PICTURE},)},
        "n": [1, 1.5, True, None],
    }
    plain = tagged(payload)
    json.dumps(plain)
    found = [Input(uri, "paths"), *[Input(PICTURE, "image_path")] * 2, Input(PICTURE, "last_frame_path")]
    assert list(inputs_of(plain)) == found
    seen = []

    def upload(file):
        seen.append(file)
        return f"upload/{len(seen)}"

    assert with_uploads(plain, upload) == {
        "prompt": "s3://bucket/no.png",
        "paths": ["upload/1", "s3://bucket/no.png"],
        "image_path": ["upload/2", "upload/1.png", ["upload/3"]],
        "deep": {"er": [{"last_frame_path": "upload/4"}]},
        "n": [1, 1.5, True, None],
    }
    assert seen == found
    assert plain["image_path"][0] == tag(PICTURE), "the payload itself is left as it is"


def test_an_object_of_the_users_own_that_only_looks_like_it_is_left_alone():
    payload = {"a": {"object_storage_file": "upload/1.png", "more": 1}}
    assert tagged(payload) == payload
    assert list(inputs_of(payload)) == []
    assert with_uploads(payload, lambda _file: "never") == payload


@pytest.mark.parametrize("value", [5, None, "a.png", {}, PICTURE, "file:///etc/passwd"])
def test_an_object_that_would_stand_for_a_file_is_refused_by_its_key(value):
    with pytest.raises(ValueError, match=r"^prompt must not be an object with object_storage_file alone"):
        parse_payload(json.dumps({"prompt": {"object_storage_file": value}}))


def test_a_payload_that_was_rendered_to_a_string_has_its_files(tmp_path):
    assert parse_payload('{"first_frame_path": "s3://bucket/a.png"}') == {"first_frame_path": tag(PICTURE)}
    assert parse_payload("{'first_frame_path': 's3://bucket/a.png'}") == {"first_frame_path": tag(PICTURE)}


def test_a_file_that_cannot_be_used_is_refused_by_its_key():
    with pytest.raises(ValueError, match=r"^last_frame_path must be a path such as s3://"):
        parse_payload({"images": [{"last_frame_path": "s3://bucket/*.png"}]})
    with pytest.raises(ValueError, match=r"^image must be a path such as s3://"):
        parse_payload({"image": ObjectStoragePath("/tmp/a.png")})


def test_a_payload_that_is_a_file_is_no_payload(tmp_path):
    with pytest.raises(ValueError, match=r"^payload must "):
        parse_payload(ObjectStoragePath("/tmp/a.png"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("first_frame_path", "upload/7.png"),
        ("image_url", "https://x/7.png"),
        ("image_id", "7"),
        ("image", "upload/7.png"),
        ("", "upload/7.png"),
    ],
)
def test_a_file_is_named_as_its_key_asks_for(key, value):
    upload = Upload("upload/7.png", "https://x/7.png", "7", {})
    assert Input(PICTURE, key).value_of(upload) == value


@pytest.mark.parametrize("key", ["image_url", "image_id"])
def test_what_a_file_does_not_have_it_is_not_named_by(key):
    assert Input(PICTURE, key).value_of(Upload("upload/7.mp4", None, None, {})) == "upload/7.mp4"


def test_uploads_change_what_is_sent_and_not_what_a_retry_compares():
    request = SubmitRequest.parse(
        "videos/create", {"prompt": "a cat", "first_frame_path": PICTURE}, None, None
    )
    uploaded = request.with_uploads(lambda _file: "upload/1.png")
    assert uploaded.fingerprint == request.fingerprint
    sent = {"prompt": "a cat", "first_frame_path": "upload/1.png", "replyRef": "r"}
    assert uploaded.body(reference="r", seed=None, email=None) == sent
