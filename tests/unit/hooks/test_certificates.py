"""The ``ca_bundle`` of a connection: a file or folder of certificates, and nothing that may never end."""

import os
import re
from pathlib import Path

import certifi
import pytest

from airflow_pixverse.hooks.certificates import checked_ca_bundle
from tests.helpers.clients import error_of

PEM = re.search(
    "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", Path(certifi.where()).read_text(), re.DOTALL
)[0]
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIP\n-----END PRIVATE KEY-----\n"
NO_HASHED_NAME = "holds no certificate under its hashed name; `openssl rehash` makes such names"


@pytest.fixture
def bundle(tmp_path):
    """A path that does not exist yet."""
    return tmp_path / "bundle"


def refusal(path):
    message = str(error_of(checked_ca_bundle, str(path), kind=ValueError))
    assert str(path) not in message
    return message


def test_file_of_certificates_is_accepted(bundle):
    bundle.write_text(f"# a comment\n{PEM}")
    assert checked_ca_bundle(str(bundle)) == str(bundle)


def test_link_to_a_file_of_certificates_is_accepted(bundle):
    bundle.symlink_to(certifi.where())
    assert checked_ca_bundle(str(bundle)) == str(bundle)


def test_folder_with_certificates_under_their_hashed_names_is_accepted(bundle):
    bundle.mkdir()
    (bundle / "README").write_text("x")
    (bundle / "0a1b2c3d.0").write_text(PEM)
    assert checked_ca_bundle(str(bundle)) == str(bundle)


@pytest.mark.parametrize("content", ["", "nothing of the kind", PRIVATE_KEY, PEM.replace("M", "!")])
def test_file_without_certificates_is_refused(bundle, content):
    bundle.write_text(content)
    assert refusal(bundle) == "holds no valid certificate"


@pytest.mark.parametrize("name", ["ca.pem", "0a1b2c3d", "0a1b2c3d.x"])
def test_folder_without_hashed_names_is_refused(bundle, name):
    bundle.mkdir()
    (bundle / name).write_text(PEM)
    assert refusal(bundle) == NO_HASHED_NAME


def test_folder_of_files_without_certificates_is_refused(bundle):
    bundle.mkdir()
    (bundle / "0a1b2c3d.0").write_text("nothing of the kind")
    os.mkfifo(bundle / "0a1b2c3d.1")
    (bundle / "0a1b2c3d.2").symlink_to("nowhere")
    assert refusal(bundle) == NO_HASHED_NAME


def test_pipe_and_endless_device_are_refused_unopened(bundle):
    os.mkfifo(bundle)
    assert refusal(bundle) == refusal("/dev/zero") == "must be a regular file or a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_refused(bundle):
    bundle.write_text(PEM)
    bundle.chmod(0)
    assert refusal(bundle) == "cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such/file", "cannot be read: No such file or directory"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b", "must be the path of a file or folder"),
        ("\ud800", "must be the path of a file or folder"),
    ],
)
def test_path_that_leads_nowhere_is_refused(path, words):
    assert refusal(path) == words
