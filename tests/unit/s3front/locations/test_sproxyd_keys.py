"""Keys of a RING, held against what the original's client makes of the same names."""

from __future__ import annotations

from s3front.locations.sproxyd_keys import KEY, sproxyd_key

MARK = "c0" * 20


def test_the_middle_is_what_the_original_makes_of_the_bucket() -> None:
    """Its generator was run once, for the namespace "default" and an owner without a name."""
    key = sproxyd_key("photos", MARK, 2)
    assert key[16:30] == "C2CB1D5A8F0B43"


def test_the_end_is_service_random_and_class() -> None:
    key = sproxyd_key("photos", MARK, 2)
    assert (key[30:32], key[38:]) == ("59", "20")
    assert sproxyd_key("photos", MARK, 5)[38:] == "50"
    assert len(key) == 40
    assert KEY.fullmatch(key)
    assert key == key.upper()


def test_a_mark_has_one_key() -> None:
    assert sproxyd_key("photos", MARK, 2) == sproxyd_key("photos", MARK, 2)


def test_another_mark_has_other_random_bytes() -> None:
    keys = [sproxyd_key("photos", f"{number:040x}", 2) for number in range(500)]
    assert len({key[:16] for key in keys}) == 500
    assert len({key[32:38] for key in keys}) > 490
    assert len({key[16:32] for key in keys}) == 1


def test_another_bucket_has_other_bytes_in_the_middle() -> None:
    assert sproxyd_key("photos", MARK, 2)[16:30] != sproxyd_key("videos", MARK, 2)[16:30]
