"""Where a location leads, in a few words without secrets, for those who run the server."""

from __future__ import annotations

from s3front.locations.azure_details import AzureDetails
from s3front.locations.folder import FolderDetails
from s3front.locations.location_config import Location
from s3front.locations.ring import SproxydDetails
from s3front.locations.s3_details import S3Details
from shared.config import Config


def whereabouts(location: Location, config: Config) -> str:
    """What is to be known of it to find it; empty where nothing is known."""
    details = location.details
    if location.type == "file" and location.is_supported:
        client = config.data_client
        return f"dmd at {_address(client.host, client.port)}"
    if location.type == "mem" and location.is_supported:
        return "memory of s3front start"
    if isinstance(details, S3Details):
        scheme = "https" if details.secure else "http"
        return f"bucket {details.bucket} at {scheme}://{_address(details.host, details.port)}"
    if isinstance(details, AzureDetails):
        return f"container {details.azure_container_name} at {details.azure_storage_endpoint}"
    if isinstance(details, SproxydDetails):
        hosts = ", ".join(_address(host, port) for host, port in details.bootstrap)
        return f"RING through {hosts}"
    if isinstance(details, FolderDetails):
        return f"{details.path}{' (read only)' if details.read_only else ''}"
    return ""


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
