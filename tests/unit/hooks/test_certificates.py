"""The ``ca_bundle`` of a connection: a file or folder of certificates, and nothing that may never end."""

import os
import re
import sys
from pathlib import Path

import certifi
import pytest

from airflow_pixverse.hooks.certificates import checked_ca_bundle

PEM = re.search(
    "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", Path(certifi.where()).read_text(), re.DOTALL
)[0]
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIP\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def bundle(tmp_path):
    """A path that does not exist yet."""
    return tmp_path / "bundle"


def refusal(path):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are looked at by the caller
        checked_ca_bundle(str(path))
    assert str(path) not in str(caught.value)
    return str(caught.value)


def test_a_file_of_certificates_is_accepted(bundle):
    bundle.write_text(f"# a comment\n{PEM}")
    assert checked_ca_bundle(str(bundle)) == str(bundle)


def test_a_link_to_a_file_of_certificates_is_accepted(bundle):
    bundle.symlink_to(certifi.where())
    assert checked_ca_bundle(str(bundle)) == str(bundle)


def test_a_folder_with_certificates_under_their_hashed_names_is_accepted(bundle):
    bundle.mkdir()
    (bundle / "README").write_text("x")
    (bundle / "0a1b2c3d.0").write_text(PEM)
    assert checked_ca_bundle(str(bundle)) == str(bundle)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "must be a file of 1 to "),
        ("nothing of the kind", "holds no valid certificate"),
        (PRIVATE_KEY, "holds no valid certificate"),
        (PEM.replace("M", "!"), "holds no valid certificate"),
    ],
)
def test_a_file_without_certificates_is_refused(bundle, content, words):
    bundle.write_text(content)
    assert refusal(bundle).startswith(words)


def test_a_huge_file_is_refused_unread(bundle):
    with bundle.open("wb") as file:
        file.truncate(10**12)
    assert refusal(bundle).startswith("must be a file of 1 to ")


@pytest.mark.parametrize("name", ["ca.pem", "0a1b2c3d", "0a1b2c3d.x"])
def test_a_folder_in_which_openssl_finds_no_certificate_is_refused(bundle, name):
    bundle.mkdir()
    (bundle / name).write_text(PEM)
    assert "openssl rehash" in refusal(bundle)


def test_a_folder_of_files_that_hold_no_certificate_is_refused(bundle):
    bundle.mkdir()
    (bundle / "0a1b2c3d.0").write_text("nothing of the kind")
    os.mkfifo(bundle / "0a1b2c3d.1")
    (bundle / "0a1b2c3d.2").symlink_to("nowhere")
    assert "openssl rehash" in refusal(bundle)


def test_a_pipe_is_refused_unopened(bundle):
    os.mkfifo(bundle)
    assert refusal(bundle) == "must be a regular file or a folder"


def test_an_endless_device_is_refused():
    assert refusal("/dev/zero") == "must be a regular file or a folder"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_file_whose_size_is_not_known_is_refused():
    assert refusal("/proc/self/mem").startswith("must be a file of 1 to ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(bundle):
    bundle.write_text(PEM)
    bundle.chmod(0)
    assert refusal(bundle) == "cannot be read: Permission denied"


@pytest.mark.parametrize("path", ["/no/such/file", "x" * 5000])
def test_a_path_that_leads_nowhere_is_refused(path):
    assert refusal(path).startswith("cannot be read: ")


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_what_is_no_path_is_refused(path):
    assert refusal(path) == "must be the path of a file or folder"
