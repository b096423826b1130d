"""HTTP/1.1 as both halves speak it, to S3 clients and to each other: RFC 9110 and RFC 9112.

``head``, ``chunks`` and ``encoding`` are pure: bytes and values in, values and bytes out.
``waiter``, ``body`` and ``channel`` are what both ends of a connection have in common.
``connection``, ``exchange``, ``server`` and ``file_sender`` serve; ``client`` asks.

A request whose handler has nothing to wait for costs no task, a small answer leaves in one write,
and no wait costs a timer: one coarse timer looks after all connections.
"""
