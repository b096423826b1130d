#!/bin/sh
# Runs both halves on one machine: `dmd start` and `s3front start`, as found on PATH. --help lists
# the options.
#
# SIGTERM and SIGINT (Ctrl-C) stop both, the front-end first so that its requests can finish, and
# the exit code is 0. When one of them ends by itself, the other is stopped, and the exit code is
# that of the one that ended. SIGHUP is passed on: the front-end reloads its credentials.
#
# POSIX sh: dash, bash and busybox all run it, also as the first process of a container.
set -u

dmd='' front='' greeter='' pause='' stopping=no private=''

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

# A directory that only this user can enter, until the end.
make_private_folder() {
    private=$(mktemp -d "${TMPDIR:-/tmp}/twofold.XXXXXX" 2>/dev/null) || private=''
}

# Lets the halves exchange data over a Unix socket. Where that cannot be had, they use the port.
choose_socket() {
    [ -n "${S3DATA_SOCKET:-}" ] && return
    if [ -z "$private" ]; then
        echo "start-both.sh: no directory for a Unix socket, data goes over TCP" >&2
        return
    fi
    # 107 bytes are the limit of the system.
    if [ "$(printf %s "$private/data" | wc -c)" -gt 107 ]; then
        echo "start-both.sh: $private is too long for a Unix socket, data goes over TCP" >&2
        return
    fi
    export S3DATA_SOCKET="$private/data"
}

# Makes descriptor 9 a pipe, on which each half says that it serves (shared/process/supervisor.py): who
# answers on a port may be somebody else.
open_pipe() {
    [ -n "$private" ] && mkfifo "$private/ready" 2>/dev/null || return
    exec 9<>"$private/ready"
    export TWOFOLD_READY_FD=9
}

# Lines for people once both answer; the log is for programs, unless a terminal shows it.
greet() {
    python="$(dirname "$(command -v s3front)")/python3"
    [ -x "$python" ] || python=python3
    exec "$python" -m s3front.process.greeting "$$"
}

usage() {
    cat <<'TEXT'
usage: start-both.sh [options]
  --port PORT           the S3 port (8000)
  --host ADDRESS        the address that S3 is served on (all)
  --data DIR            keep everything in DIR, which is made
  --metadata-port PORT  the port between the halves for metadata (9990)
  --data-port PORT      the port between the halves for data (9991)
  --version             print the version
TEXT
}

fail() {
    echo "start-both.sh: $1 (--help lists the options)" >&2
    exit 2
}

# Both halves read their configuration themselves, so options are variables of theirs.
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h)
        usage
        exit 0
        ;;
    --version) exec s3front --version ;;
    --*=*)
        value=${1#*=}
        option=${1%%=*}
        shift
        ;;
    *)
        option=$1
        value=${2:-}
        shift
        [ $# -gt 0 ] && shift
        ;;
    esac
    case $option in
    --port) export S3_PORT="$value" ;;
    --host) export S3_HOST="$value" ;;
    --metadata-port) export METADATA_PORT="$value" ;;
    --data-port) export DATA_PORT="$value" ;;
    --data)
        export S3_DATA_DIR="$value"
        unset S3DATAPATH S3METADATAPATH
        ;;
    *) fail "there is no option $option" ;;
    esac
    [ -n "$value" ] || fail "$option needs a value"
    case $option$value in
    *port*[!0-9]*) fail "$option needs a number" ;;
    esac
done

trap 'stopping=yes' TERM INT
trap 'kill -HUP "$dmd" "$front" 2>/dev/null' HUP

# What is to be in memory, `s3front start` keeps itself; of dmd, the rest is needed.
part=''
[ "${S3METADATA:-${S3BACKEND:-}}" = mem ] && part=data
if [ "${S3DATA:-${S3BACKEND:-}}" = mem ]; then
    [ "$part" = data ] && exec s3front start
    part=metadata
fi

make_private_folder
choose_socket
open_pipe
# shellcheck disable=SC2086 # nothing, or one word
dmd start $part &
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
[ -n "$private" ] && rm -rf "$private"

# A process that was still starting is ended by the signal itself: 128 + 15.
[ "$stopping" = yes ] && [ "$front_code" -eq 143 ] && front_code=0
[ "$stopping" = yes ] && [ "$dmd_code" -eq 143 ] && dmd_code=0
case $ended in
dmd) exit "$dmd_code" ;;
front) exit "$front_code" ;;
esac
[ "$front_code" -ne 0 ] && exit "$front_code"
exit "$dmd_code"
