"""The commands about identities: ``s3front accounts``, ``users``, ``groups``, ``roles``,
``policies`` and ``access-keys``.

They change what is stored themselves, as ``s3front keys`` does, and ask no front-end: whoever can
reach the metadata daemon, and read the configuration, may do everything. Running front-ends hear of
it within a second. Exit codes: 0, done; 1, it was refused, and why; 2, the metadata daemon could
not be asked, or the command line makes no sense.
"""
