#!/bin/sh
# Runs both halves on one machine: `dmd start` and `s3front start`, as found on PATH.
#
# SIGTERM and SIGINT (Ctrl-C) stop both, the front-end first so that its requests can finish, and
# the exit code is 0. When one of them ends by itself, the other is stopped, and the exit code is
# that of the one that ended. SIGHUP is passed on: the front-end reloads its credentials.
#
# POSIX sh: dash, bash and busybox all run it, also as the first process of a container.
set -u

dmd='' front='' greeter='' pause='' stopping=no sockets=''

running() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

# Stops a half and sets `code` to its exit code. A process that was forked a moment ago may still be
# this shell, and lose a signal: so it is told until it has ended.
stop() {
    (while kill -TERM "$1" 2>/dev/null; do sleep 1; done) &
    teller=$!
    wait "$1" 2>/dev/null # shells report a signal's victim here
    code=$?
    kill -KILL "$teller" 2>/dev/null
}

# Lets the halves exchange data over a Unix socket, in a directory that only this user can enter.
# Where that cannot be had, they use the port.
choose_socket() {
    [ -n "${S3DATA_SOCKET:-}" ] && return
    if ! sockets=$(mktemp -d "${TMPDIR:-/tmp}/twofold.XXXXXX" 2>/dev/null); then
        sockets=''
        echo "start-both.sh: no directory for a Unix socket, data goes over TCP" >&2
        return
    fi
    # 107 bytes are the limit of the system.
    if [ "$(printf %s "$sockets/data" | wc -c)" -gt 107 ]; then
        echo "start-both.sh: $sockets is too long for a Unix socket, data goes over TCP" >&2
        return
    fi
    export S3DATA_SOCKET="$sockets/data"
}

# One line for people once the S3 port answers; the log is for programs.
greet() {
    python="$(dirname "$(command -v s3front)")/python3"
    [ -x "$python" ] || python=python3
    exec "$python" - "$$" <<'PYTHON'
import http.client, os, socket, ssl, sys, time

from shared.config import ConfigError, load_accounts, load_config

DEFAULT_KEY = "accessKey1"

try:
    config = load_config()
    accounts = load_accounts(config)
except ConfigError:
    sys.exit()  # s3front says so itself
host, port = config.listen_addresses[0]
host = "localhost" if host in ("", "0.0.0.0", "::") else host
tls = config.cert_file_paths is not None


def answers():
    if tls:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/_/healthcheck")
        if connection.getresponse().status != 200:
            return False
        # The health check is about the metadata.
        socket.create_connection((config.data_client.host, config.data_client.port), 5).close()
        return True
    except OSError:
        return False
    finally:
        connection.close()


while not answers():
    if os.getppid() != int(sys.argv[1]):
        sys.exit()  # the script has ended
    time.sleep(0.1)
if config.credentials is not None:
    keys = f"access key {config.credentials.access_key}"
elif accounts.credential(DEFAULT_KEY) is not None:
    keys = f"access key {DEFAULT_KEY}, its secret is in conf/authdata.json"
else:
    keys = "access keys as in authdata.json"
url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
print(f"Twofold serves S3 on {url} ({keys})", file=sys.stderr)
PYTHON
}

trap 'stopping=yes' TERM INT
trap 'kill -HUP "$dmd" "$front" 2>/dev/null' HUP

choose_socket
dmd start &
dmd=$!
s3front start &
front=$!
greet &
greeter=$!

# There is no portable way to wait for the first of two processes.
while [ "$stopping" = no ] && running "$dmd" && running "$front"; do
    sleep 1 &
    pause=$!
    wait "$pause"
done

ended=''
if [ "$stopping" = no ]; then
    running "$front" || ended=front
    running "$dmd" || ended=dmd
fi

# Further signals must not interrupt the waiting.
trap '' TERM INT HUP
running "$greeter" && kill "$greeter"
running "$pause" && kill "$pause"
stop "$front"
front_code=$code
stop "$dmd"
dmd_code=$code
[ -n "$sockets" ] && rm -rf "$sockets"

# A process that was still starting is ended by the signal itself: 128 + 15.
[ "$stopping" = yes ] && [ "$front_code" -eq 143 ] && front_code=0
[ "$stopping" = yes ] && [ "$dmd_code" -eq 143 ] && dmd_code=0
case $ended in
dmd) exit "$dmd_code" ;;
front) exit "$front_code" ;;
esac
[ "$front_code" -ne 0 ] && exit "$front_code"
exit "$dmd_code"
