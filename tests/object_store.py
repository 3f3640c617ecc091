"""An S3 server on loopback for tests, and its buckets as another program than Airflow sees them."""

from __future__ import annotations

import json
import secrets
from typing import Any, Self

import boto3
from moto.server import ThreadedMotoServer

from tools.real_airflow.ports import LOOPBACK

# Any will do: the server gives everybody access.
_LOGIN, _PASSWORD = "an-access-key", "a-secret-key"
_REGION = "us-east-1"


class Bucket:
    """
    A bucket, looked at and written to past Airflow.

    :ivar url: what the URLs of its objects begin with, the connection included.
    """

    def __init__(self, client: Any, conn_id: str, name: str) -> None:
        self._client = client
        self.name = name
        self.url = f"s3://{conn_id}@{name}"

    @property
    def keys(self) -> list[str]:
        """The keys of all objects, sorted."""
        return [item["Key"] for item in self._client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    @property
    def unfinished(self) -> list[str]:
        """The keys of uploads in parts that were begun, and neither completed nor aborted."""
        uploads = self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return [upload["Key"] for upload in uploads]

    def get(self, key: str) -> bytes:
        """Return what an object holds."""
        content: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def put(self, key: str, content: bytes, content_type: str | None = None) -> str:
        """Write an object, and return its URL."""
        named = {"ContentType": content_type} if content_type else {}
        self._client.put_object(Bucket=self.name, Key=key, Body=content, **named)
        return f"{self.url}/{key}"

    def sizes(self, key: str) -> list[int]:
        """The size of everything that has ever been stored under a key, whether it is still there or not."""
        versions = self._client.list_object_versions(Bucket=self.name, Prefix=key).get("Versions", [])
        return [version["Size"] for version in versions if version["Key"] == key]


class ObjectStore:
    """
    An S3 server that any process of this machine can reach; a context manager that runs it while open.

    Airflow keeps what it once made of a connection until the process ends, so a process that used this store
    cannot use another one with the same connection.

    :param conn_id: the connection that leads to it.
    """

    def __init__(self, conn_id: str = "object_store") -> None:
        self.conn_id = conn_id
        self._server = ThreadedMotoServer(LOOPBACK, port=0, verbose=False)

    def __enter__(self) -> Self:
        self._server.start()
        _, port = self._server.get_host_and_port()
        self.endpoint = f"http://{LOOPBACK}:{port}"
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=_LOGIN,
            aws_secret_access_key=_PASSWORD,
        )
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.stop()

    @property
    def connection(self) -> dict[str, str]:
        """The Airflow connection: ``json.dumps`` it into ``AIRFLOW_CONN_OBJECT_STORE``."""
        extra = {"endpoint_url": self.endpoint, "region_name": _REGION}
        return {"conn_type": "aws", "login": _LOGIN, "password": _PASSWORD, "extra": json.dumps(extra)}

    def new_bucket(self, name: str | None = None) -> Bucket:
        """Make a bucket that keeps all versions; no other one has its name unless one is given."""
        name = name or f"bucket-{secrets.token_hex(8)}"
        self._client.create_bucket(Bucket=name)
        self._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return Bucket(self._client, self.conn_id, name)
