"""Small blobs, many to a file: see ``dmd.data.packed.packed_store``."""
