"""Names of things and people: two that look the same are the same."""

import re
import unicodedata
from typing import Final

# Characters that show nothing (Unicode's Default_Ignorable_Code_Point), and controls: with one of them a name would
# look like another's. The same as in migration 0010, where SQL asks it.
UNSEEN: Final = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_UNSEEN: Final = re.compile(UNSEEN)


def normal(name: str) -> str:
    """The name as it is kept and compared (NFC): however its accents were typed."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def account_normal(name: str) -> str:
    """Returns the name of an account as it is kept and compared (NFKC). It is typed from memory: full-width letters are
    letters."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def unseen(name: str) -> str | None:
    """What in a name nobody can see, as people look it up (`U+200B`); None where there is no such thing."""
    found = _UNSEEN.search(name)
    return None if found is None else f"U+{ord(found[0]):04X}"


def hint(found: str) -> str:
    """What to do about a name with such a character."""
    return f"holds {found}, a character that nobody sees; leave it out"
