"""Small blobs, many to a file: see ``dmd.data.packed.store``."""
