"""A member's pseudonym: the same for the same id and secret, whoever computes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.privacy.pseudonyms import member_key


@pytest.mark.smoke
def test_it_is_the_head_of_hmac_sha256() -> None:
    # RFC 4231, test case 2: the digest begins with 5bdcc146bf60754e.
    assert member_key("what do ya want for nothing?", b"Jefe") == 0x5BDCC146BF60754E


def test_half_of_all_are_negative_as_they_are_signed() -> None:
    # RFC 4231, test case 1 begins with b0344c61d8db3853.
    assert member_key("Hi There", b"\x0b" * 20) == 0xB0344C61D8DB3853 - 2**64


@given(st.text(), st.binary(min_size=1))
def test_it_fits_a_bigint_and_depends_on_the_secret(member_id: str, secret: bytes) -> None:
    key = member_key(member_id, secret)
    assert -(2**63) <= key < 2**63
    assert key == member_key(member_id, secret)
    assert key != member_key(member_id, secret + b"x")


def test_blanks_and_case_are_part_of_an_id() -> None:
    assert len({member_key(member_id, b"k") for member_id in ("anna", "Anna", " anna", "anna ")}) == 4
