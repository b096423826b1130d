"""Tags as calls have them. Pure."""

from __future__ import annotations

from s3front.query_api.call_parameters import Parameters, Rule


def tags_of(parameters: Parameters) -> list[tuple[str, str]]:
    """Those that are to be given; raises ValidationError. How many and of what, whoever gives them
    checks."""
    return [(tag.required("Key"), tag.required("Value")) for tag in parameters.structures("Tags")]


def tag_keys_of(parameters: Parameters) -> list[str]:
    """Those that are to be taken away; raises ValidationError."""
    return parameters.texts("TagKeys", Rule(1, 128))
