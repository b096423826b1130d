"""The one harness of all tests that break something.

``processes`` kills and stops servers, at a fail-point or anywhere; ``proxy`` cuts and stalls
connections; ``disk`` fills and breaks disks, and ``failing_calls`` lets the kernel refuse to write;
``stores`` says, once the servers are back, whether the two stores agree with each other and with
what clients were told.
"""
