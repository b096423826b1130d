"""``s3front locations state``: what a running front-end knows of the places that others run."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Annotated, Any, Final

import typer

from s3front import cli
from s3front.command_answers import ATTENTION_EXIT, CANNOT_ASK_EXIT, Json, print_json
from shared.config import Config, ConfigError, load_config
from shared.process.problems import exit_with_problem
from shared.process.readable_log import printable

_PATH: Final = "/_/healthcheck"
_SECONDS_MAX: Final = 10.0

Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The front-end; that of the configuration by default."),
]


def show_state(json_wanted: Json = False, url: Url = None) -> None:
    """Show what a front-end process knows of the places that others run: whether they are asked,
    how many requests there were, and how many have failed.

    Of several processes behind one port, one answers. Exit code 1: a place is not asked at present.
    """
    found = _asked(url)
    if json_wanted:
        print_json(found)
    else:
        head = ("location", "circuit", "running", "waiting", "requests", "failed")
        typer.echo(f"{head[0]:<24}{head[1]:<11}" + "".join(f"{name:>10}" for name in head[2:]))
        for name, place in found.items():
            figures = (
                place["running"] + place["reading"] + place["writing"],
                place["waiting"],
                place["requests"],
                sum(place["failures"].values()),
            )
            told = f"{name:<24}{place['state']:<11}" + "".join(f"{each:>10,}" for each in figures)
            reason = f"  {place['reason']}" if place["reason"] else ""
            typer.echo(printable(told + reason))
    well = all(place["state"] == "closed" for place in found.values())
    raise typer.Exit(0 if well else ATTENTION_EXIT)


def _asked(url: str | None) -> dict[str, Any]:
    """``locations`` of the health check."""
    try:
        config = load_config()
        target, context = _way(config) if url is None else (url.rstrip("/"), None)
        if not target.startswith(("http://", "https://")):
            raise ValueError("a URL begins with http:// or https://")
        request = urllib.request.Request(target + _PATH)  # noqa: S310  # the scheme was looked at
        text = _text(request, context)
        found: dict[str, Any] = json.loads(text).get("locations", {})
    except ConfigError as error:
        exit_with_problem(cli.PROGRAM, error, CANNOT_ASK_EXIT)
    except (OSError, ValueError) as error:
        problem = f"the front-end cannot be asked: {error}"
        exit_with_problem(cli.PROGRAM, problem, CANNOT_ASK_EXIT)
    return found


def _text(request: urllib.request.Request, context: ssl.SSLContext | None) -> bytes:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=_SECONDS_MAX) as response:
            text: bytes = response.read()
    except urllib.error.HTTPError as error:
        if error.code != 503:  # that of a front-end without metadata, which answers nevertheless
            raise
        text = error.read()
    return text


def _way(config: Config) -> tuple[str, ssl.SSLContext | None]:
    """The front-end of this machine; its certificate need not be for a loopback address."""
    host, port = config.listen_addresses[0]
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # where it listens, not where we do
        host = "127.0.0.1"
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    files = config.cert_file_paths
    if files is None:
        return f"http://{authority}", None
    context = ssl.create_default_context(cafile=files.cert)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return f"https://{authority}", context
