"""SeaweedFS of a data folder: the S3 endpoint of a development machine.

It never syncs to disk, so a power cut may lose objects: production uses another S3. Its stop is SIGTERM and,
after a moment, SIGKILL: volumes are closed in the first moments, the rest only waits for itself.
"""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.embedded.binaries import weed
from app.embedded.folder import DataFolder, write_private
from app.embedded.process import ProcessSpec, evict, own_environment

if TYPE_CHECKING:
    from minio import Minio

BUCKETS: Final = ("results", "sources", "shared", "datasets")
REGION: Final = "us-east-1"

_SERVERS: Final = ("master", "volume", "filer", "s3")
_GRACE: Final = 1.5


class SeaweedFS:
    """The S3 server of one data folder."""

    name = "seaweedfs"
    replaced_by = "HOARD_S3_URL"

    def __init__(self, folder: DataFolder) -> None:
        """Bind it to a folder; nothing is started or created yet."""
        self._folder = folder
        self._ports: dict[str, int] = {}

    def spec(self) -> ProcessSpec:
        """Write its access configuration and say how to run it."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._ports = self._folder.ports(*(f"seaweedfs-{s}{g}" for s in _SERVERS for g in ("", "-grpc")))
        self._write_identities()
        keys = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
        jwt = {f"WEED_JWT_{k}": v for k, v in zip(keys, self._folder.secrets.weed_jwt_keys, strict=True)}
        return ProcessSpec(
            name=self.name,
            argv=(str(weed()), "-logtostderr=true", "server", *self._options()),
            # Socket paths are relative to here: an absolute one may exceed the system's 107 bytes.
            cwd=self._data,
            log=self._folder.logs / "seaweedfs.log",
            env=own_environment(**jwt),
            grace=_GRACE,
            tidy=self._clear_remains,
        )

    def ready(self) -> bool:
        """Whether S3 answers a signed request."""
        import urllib3  # noqa: PLC0415 - loaded while the servers start
        from minio.error import MinioException  # noqa: PLC0415

        try:
            self._client().list_buckets()
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return False
        return True

    def set_up(self) -> None:
        """Create the buckets that are missing."""
        client = self._client()
        present = {bucket.name for bucket in client.list_buckets()}
        for bucket in BUCKETS:
            if bucket not in present:
                client.make_bucket(bucket)

    def settings(self) -> dict[str, str]:
        """Endpoint, keys and bucket names."""
        secrets = self._folder.secrets
        return {
            "HOARD_S3_URL": f"http://{self._endpoint}",
            "HOARD_S3_ACCESS_KEY": secrets.s3_access_key,
            "HOARD_S3_SECRET_KEY": secrets.s3_secret_key,
            "HOARD_S3_REGION": REGION,
            **{f"HOARD_BUCKET_{bucket.upper()}": bucket for bucket in BUCKETS},
        }

    @property
    def _data(self) -> Path:
        return self._folder.path / "seaweedfs"

    @property
    def _endpoint(self) -> str:
        return f"127.0.0.1:{self._ports['seaweedfs-s3']}"

    def _client(self) -> "Minio":
        import urllib3  # noqa: PLC0415 - loaded while the servers start
        from minio import Minio  # noqa: PLC0415

        secrets = self._folder.secrets
        return Minio(
            self._endpoint,
            access_key=secrets.s3_access_key,
            secret_key=secrets.s3_secret_key,
            region=REGION,  # without it every client asks the server first
            secure=False,
            http_client=urllib3.PoolManager(timeout=10.0, retries=False),
        )

    def _options(self) -> tuple[str, ...]:
        port = {name.removeprefix("seaweedfs-"): number for name, number in self._ports.items()}
        listening = [
            o for s in _SERVERS for o in (f"-{s}.port={port[s]}", f"-{s}.port.grpc={port[f'{s}-grpc']}")
        ]
        return (
            *("-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *listening),
            # Without these two a warm start waits 12 seconds for an election among nobody.
            *("-master.peers=none", "-master.resumeState=false", "-master.telemetry=false"),
            # 0 is automatic: each bucket takes seven volumes, and the default maximum is eight.
            *("-master.volumeSizeLimitMB=1024", "-volume.max=0", "-volume.preStopSeconds=0"),
            *("-filer", "-filer.localSocket=filer.sock"),
            *("-s3", "-s3.localSocket=s3.sock", "-s3.config=identities.json", "-s3.iam=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"),
        )

    def _write_identities(self) -> None:
        secrets = self._folder.secrets
        identity = {
            "name": "hoard",
            "credentials": [{"accessKey": secrets.s3_access_key, "secretKey": secrets.s3_secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self._data / "identities.json", json.dumps({"identities": [identity]}).encode())

    def _clear_remains(self) -> None:
        evict(self._data, "weed", signal.SIGTERM, _GRACE)
        for server in _SERVERS:
            number = self._ports[f"seaweedfs-{server}-grpc"]
            # It puts these into /tmp, whatever TMPDIR says, and leaves them there.
            Path(f"/tmp/seaweedfs-{server}-grpc-{number}.sock").unlink(missing_ok=True)  # noqa: S108
