"""What connections cost on which nothing happens: CPU time while they are there, and memory."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from typing import Final

from tests.bench.cost import cpu_seconds, memory_mib
from tests.bench.load import S3Endpoint
from tests.servers import Cluster

CONNECTIONS: Final = 10_000
_DESCRIPTORS_BESIDES: Final = 200


def measure(servers: Cluster, seconds: float) -> dict[str, dict[str, float]]:
    """The row: connections to the S3 port, each of which has made a request and is kept."""
    front = servers.fronts[0]
    request = S3Endpoint("localhost", front.port).signed("HEAD", "/bench")
    count = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _DESCRIPTORS_BESIDES)
    memory = memory_mib(front.process)
    with ExitStack() as opened:
        for _ in range(count):
            connection = opened.enter_context(socket.create_connection(front.address))
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
        memory = memory_mib(front.process) - memory
        before, began = cpu_seconds([front.process]), time.perf_counter()
        time.sleep(seconds)  # what is measured
        share = (cpu_seconds([front.process]) - before) / (time.perf_counter() - began)
    return {
        f"{count:,} idle connections": {
            "cpu_percent_of_a_core": share * 100,
            "memory_kib_a_connection": memory * 1024 / count,
        }
    }
