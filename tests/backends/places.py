"""Every type of locations, as a place that tests can begin, use, and look at from the other side.

``PLACES`` has one row for each. A new type adds its own: how to start what it needs, what its
entry of locationConfig.json is, and how to tell what it holds. ``test_every_type`` and the modules
beside it do the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import requests
from azure.storage.blob import ContainerClient

from shared.config.private_daemon import PRIVATE_DAEMON, parse_private_daemon
from tests.backends.azurites import azurite
from tests.backends.rings import ring
from tests.backends.s3_services import google, remote, twofold
from tests.clients_boto3 import s3_client
from tests.keyrings import encrypting
from tests.servers import Cluster, Front, process_tree, wait_for

SOAK: Final = os.environ.get("TWOFOLD_SOAK") == "1"

PLACE, OTHER, DISK = "the-place", "the-other-place", "the-disk"
"""The locations of a server: two of the type that is tested, and one of type ``file``."""

_SECONDS: Final = 10.0


@dataclass
class Outside:
    """What a type needs besides this server, running, and the entries of two locations there.

    ``blobs`` are the names of all that is stored at the places, asked of them and not of us; behind
    a name there may be a NUL and its version, or what else makes one of them.
    ``by_key``: whether those of new objects are their keys, behind that of their bucket.
    ``described`` tells metadata and tags that the place keeps beside a blob; None where it cannot.
    """

    entry: dict[str, Any]
    other: dict[str, Any]
    blobs: Callable[[Server], Set[str]]
    environ: dict[str, str] = field(default_factory=dict)
    by_key: bool = False
    described: Callable[[str], Described] | None = None


@dataclass(frozen=True)
class Described:
    """What a place says of a blob."""

    user_metadata: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True)
class Place:
    """A type of locations, in a ``variant`` if there are several. ``begin`` starts, in a folder,
    what is outside.

    ``in_ci``: tested in each run of the tests, and not in the long campaigns alone. ``supervised``:
    whether the front-ends have to be those of one ``s3front start``.
    """

    type: str
    begin: Callable[[Path], AbstractContextManager[Outside]]
    in_ci: bool = False
    supervised: bool = False
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.type}-{self.variant}" if self.variant else self.type


@dataclass
class Server:
    """This server with two front-end processes, and background work that deletes after a second."""

    place: Place
    outside: Outside
    cluster: Cluster

    @property
    def fronts(self) -> tuple[Front, Front]:
        """Both, which are behind one port if they are of one command."""
        fronts = self.cluster.fronts
        return fronts[0], fronts[-1]

    @property
    def front(self) -> Front:
        return self.fronts[0]

    def client(self, number: int = 0) -> Any:
        """A client, with connections of its own."""
        return s3_client(self.fronts[number])

    def blobs(self) -> Set[str]:
        """What is at the place."""
        return self.outside.blobs(self)

    @contextlib.contextmanager
    def left_nothing(self) -> Iterator[None]:
        """What the block does leaves nothing there, once it is over."""
        before = self.blobs()
        yield
        self.wait_until_holding(before)

    def wait_until_holding(self, names: Set[str]) -> None:
        """Wait until nothing is there that is not one of these."""
        wait_for(lambda: not self.blobs() - names, lambda: f"{self.blobs() - names} to be removed")


@contextlib.contextmanager
def server(
    place: Place,
    folder: Path,
    *,
    forked: bool = True,
    is_default: bool = False,
    encrypted: bool = False,
    keyed: bool = False,
) -> Iterator[Server]:
    """A server with locations at this place, that ends with the block; ``us-east-1`` is one of them
    if it ``is_default``. ``encrypted``: it encrypts what it stores unless it is told how;
    ``keyed``: it can."""
    with place.begin(folder / "outside") as outside:
        locations = {
            "us-east-1": {
                "legacyAwsBehavior": True,
                **(outside.entry if is_default else {"type": "file", "details": {}}),
            },
            PLACE: {"legacyAwsBehavior": False, **outside.entry},
            OTHER: {"legacyAwsBehavior": False, **outside.other},
            DISK: {"type": "file", "legacyAwsBehavior": False, "details": {}},
        }
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "locationConfig.json"
        file.write_text(json.dumps(locations))
        running = Cluster(
            folder,
            settings={
                "deleteDelaySeconds": 1,
                **(encrypting(folder / "keyring.json") if encrypted or keyed else {}),
                **({"globalEncryptionEnabled": False} if keyed else {}),
            },
            environ={"S3_LOCATION_FILE": str(file), **outside.environ},
            supervised=place.supervised,
            forked=forked,
        )
        try:
            running.start(fronts=0)
            if place.supervised:
                running.add_front(workers=2)
            else:
                running.add_front()
                running.add_front()
            yield Server(place, outside, running)
        finally:
            running.stop()


def new_bucket(s3: Any, location: str) -> str:
    """A fresh bucket in a location."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": location})
    return name


# --- The types ------------------------------------------------------------------------------------


def _inventory(port: int, headers: dict[str, str] | None = None) -> set[str]:
    """All blobs of a data daemon."""
    names: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        page = requests.get(
            f"http://127.0.0.1:{port}/DataFile?inventory",
            params={"count": "10000", **cursor},
            headers=headers,
            timeout=_SECONDS,
        ).json()
        names |= {blob[0] for blob in page["blobs"]}
        if page["cursor"] is None:
            return names
        cursor = {"cursor": page["cursor"]}


@contextlib.contextmanager
def _file(folder: Path) -> Iterator[Outside]:
    folder.mkdir(parents=True)
    entry = {"type": "file", "details": {}}
    yield Outside(entry, entry, lambda server: _inventory(server.cluster.data_port))


def _in_memory(server: Server) -> set[str]:
    """Asked of the private daemon, which tells those who know its secret."""
    pid = process_tree(server.front.process.pid)[0]
    environ = dict(
        part.partition("=")[::2] for part in Path(f"/proc/{pid}/environ").read_text().split("\0")
    )
    daemon = parse_private_daemon(environ[PRIVATE_DAEMON])
    assert daemon.data_port is not None
    return _inventory(daemon.data_port, {"Authorization": f"Bearer {daemon.secret.reveal()}"})


@contextlib.contextmanager
def _mem(folder: Path) -> Iterator[Outside]:
    folder.mkdir(parents=True)
    entry = {"type": "mem", "details": {}}
    yield Outside(entry, entry, _in_memory)


@contextlib.contextmanager
def _scality(folder: Path) -> Iterator[Outside]:
    with ring(folder) as running:
        entry = {"type": "scality", "details": running.details}
        yield Outside(entry, entry, lambda _server: running.blobs())


@contextlib.contextmanager
def _aws_s3(folder: Path, *, versioned: bool = True) -> Iterator[Outside]:
    """A second instance of this server."""
    folder.mkdir(parents=True)
    with twofold(folder) as service:
        there, other = (remote(service, versioned=versioned) for _ in range(2))
        yield Outside(
            {"type": "aws_s3", "details": there.document(bucketMatch=False)},
            {"type": "aws_s3", "details": other.document(bucketMatch=False)},
            lambda _server: {*there.everything(), *other.everything()},
            by_key=True,
            described=lambda name: Described(*there.described(name)),
        )


@contextlib.contextmanager
def _gcp(folder: Path) -> Iterator[Outside]:
    """What has Google's ways, before a second instance of this server."""
    folder.mkdir(parents=True)
    with google(folder) as service:
        there, other = (remote(service, versioned=True) for _ in range(2))
        yield Outside(
            {"type": "gcp", "details": there.document(bucketMatch=False)},
            {"type": "gcp", "details": other.document(bucketMatch=False)},
            lambda _server: {*there.everything(), *other.everything()},
            by_key=True,
        )


def _container_holds(container: ContainerClient) -> set[str]:
    """Every blob, and what is of one that is not there yet."""
    listed = container.list_blobs(include=["uncommittedblobs", "versions", "snapshots"])
    return {f"{blob.name}\0{container.container_name} {blob.version_id}" for blob in listed}


@contextlib.contextmanager
def _azure(folder: Path) -> Iterator[Outside]:
    folder.mkdir(parents=True)
    with azurite(folder) as running:
        there, other = running.container("there"), running.container("other")

        def described(name: str) -> Described:
            blob = there.get_blob_client(name.partition("\0")[0])
            found = dict(blob.get_blob_properties().metadata)
            tags = json.loads(found.pop("tags", "{}"))
            ours = {name for name in found if name.startswith("twofold_")}
            return Described({name: found[name] for name in found.keys() - ours}, tags)

        yield Outside(
            {"type": "azure", "details": running.details("there", bucketMatch=False)},
            {"type": "azure", "details": running.details("other", bucketMatch=False)},
            lambda _server: _container_holds(there) | _container_holds(other),
            by_key=True,
            described=described,
        )


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[Outside]:
    there, other = folder / "there", folder / "other"

    def holds(_server: Server) -> set[str]:
        return {
            f"{path.relative_to(root)}\0{root.name}"
            for root in (there, other)
            for path in root.rglob("*")
            if path.is_file()
        }

    def details(path: Path) -> dict[str, Any]:
        path.mkdir(parents=True)
        return {"type": "folder", "details": {"path": str(path), "readOnly": False}}

    yield Outside(details(there), details(other), holds, by_key=True)


PLACES: Final = (
    Place("file", _file, in_ci=True),
    Place("mem", _mem, in_ci=True, supervised=True),
    Place("aws_s3", _aws_s3, in_ci=True),
    Place("aws_s3", partial(_aws_s3, versioned=False), variant="without versions"),
    Place("gcp", _gcp),
    Place("scality", _scality),
    Place("azure", _azure),
    Place("folder", _folder),
)

CHOSEN: Final = [place for place in PLACES if place.in_ci or SOAK]
"""Those that this run of the tests is about."""
