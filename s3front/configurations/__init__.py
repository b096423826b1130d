"""The documents that a bucket may have, one a file: how each is read.

``table`` names them all. What a bucket has not is answered as AWS does for such a bucket; what
another front-end has stored, and this one cannot show, is refused with its name.
"""
