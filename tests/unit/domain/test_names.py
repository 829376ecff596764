"""Names: what looks the same is the same, whatever way in it takes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.account import checked_name, checked_password, password_normal
from graphql_app.domain.arranging import checked
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.importing import values
from graphql_app.domain.names import account_normal, normal, unseen
from graphql_app.domain.notification import Audience, Draft, Level
from graphql_app.domain.presence import Places
from graphql_app.domain.workstation import named_place

NFC, NFD = "Café", "Cafe\u0301"
# What nobody sees in a name: zero-width, bidirectional, a soft hyphen, fillers, selectors, controls.
HIDING = "\u200b\u200d\u2060\ufeff\u202e\u2066\u00ad\u3164\ufe0f\u0007\u0085\U000e0041"


def test_a_name_that_is_typed_with_its_accents_apart_is_the_same_name() -> None:
    assert NFC != NFD
    assert normal(NFD) == account_normal(NFD) == NFC
    assert checked({"name": f" {NFD} "}) == {"name": NFC}
    assert checked({"building": NFD, "floor_number": 3}) == {"building": NFC, "floor_number": 3}
    assert values.name(100)(f" {NFD} ") == NFC
    assert named_place(NFD, 3).building == NFC
    assert Places(NFD).building == NFC
    assert Draft(Level.INFO, "t", building=NFD).building == NFC
    assert Audience(frozenset(), building=NFD).building == NFC
    assert WorkstationFilter(building=NFD) == WorkstationFilter(building=NFC)
    assert WorkstationFilter(name_contains=NFD).normalised() == WorkstationFilter(name_contains=NFC).normalised()
    assert checked_name("Jose\u0301") == checked_name("José") == "José"


def test_what_an_account_is_called_is_typed_from_memory() -> None:
    assert checked_name("ａｄａ") == "ada"
    assert normal("ａｄａ") == "ａｄａ"  # what stands on a sign stays as it is


@pytest.mark.parametrize("hiding", HIDING)
def test_a_name_with_what_nobody_sees_is_refused_and_says_what(hiding: str) -> None:
    name = f"A{hiding}1"
    code = f"U+{ord(hiding):04X}"

    assert unseen(name) == code
    with pytest.raises(InvalidInput, match=r"leave it out") as refused:
        checked({"name": name})
    assert (refused.value.field, code in refused.value.message) == ("name", True)
    with pytest.raises(values.Bad, match=r"leave it out"):
        values.name(100)(name)
    with pytest.raises(InvalidInput):
        checked_name(name)


@pytest.mark.parametrize("name", ["A-01", "总部A座", "Größe", "नमस्ते", "한글", "Ω", "e\u0301\u0323", "👍🏽"])
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert unseen(name) is None
    assert checked({"name": name})["name"] == normal(name)


@given(st.text(max_size=30))
def test_names_are_normal_once_and_for_all(name: str) -> None:
    assert normal(normal(name)) == normal(name) == unicodedata.normalize("NFC", name)
    assert account_normal(account_normal(name)) == account_normal(name)


def test_a_password_is_the_same_on_every_keyboard() -> None:
    assert password_normal("cafe\u0301 0123456") == "café 0123456"
    assert checked_password("Ｐａｓｓｗｏｒｄ１２") == "Password12"
    assert password_normal("ﷺ" * 2000) == "ﷺ" * 2000  # longer than any password: not worth the work
