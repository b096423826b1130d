"""The page for somebody who opens the server in a browser. Pure."""

from __future__ import annotations

import html
import re
from typing import Final

from s3front.port.request import Reply, Request
from shared.records.bucket import DEFAULT_LOCATION

_HOST: Final = re.compile(r"[A-Za-z0-9._\[\]:-]{1,255}")
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Twofold</title></head>
<body>
<h1>Twofold</h1>
<p>This is an S3 server. It works. It has no pages to look at: use a program or a library that
speaks the Amazon S3 API.</p>
<table>
<tr><th align="left">Endpoint</th><td>{url}</td></tr>
<tr><th align="left">Region</th><td>{region}</td></tr>
<tr><th align="left">Keys</th><td>ask whoever runs this server; they are in its
<code>conf/authdata.json</code></td></tr>
</table>
<p>With the AWS command line:</p>
<pre>
aws configure
aws --endpoint-url {url} s3 mb s3://photos
aws --endpoint-url {url} s3 cp picture.jpg s3://photos/
aws --endpoint-url {url} s3 ls s3://photos/
</pre>
<p>If a program puts the name of the bucket before the name of the server
(<code>photos.{name}</code>), and that does not work, turn on &ldquo;path style&rdquo; in it, or add
the name of the server to <code>ENDPOINT</code>.</p>
</body>
</html>
"""
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}


def asks_for_page(request: Request) -> bool:
    """Whether a request is a browser's for the server itself: no S3 client asks for HTML."""
    return (
        request.method == "GET"
        and request.raw_target == "/"
        and "text/html" in request.headers.get("Accept", "")
        and "Authorization" not in request.headers
    )


def welcome(request: Request) -> Reply:
    """The page, with the server's name as the browser knows it."""
    host = request.host if _HOST.fullmatch(request.host) else "localhost"
    url = f"{'https' if request.secure else 'http'}://{host}"
    page = _PAGE.format(url=html.escape(url), name=html.escape(host), region=DEFAULT_LOCATION)
    return Reply(200, _HEADERS, page.encode())
