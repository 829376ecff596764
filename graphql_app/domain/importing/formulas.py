"""Texts that a spreadsheet would run as formulas: a quote is put before them going out, and taken off coming in.

OWASP lists the characters (CSV injection), with the wide forms that Chinese and Japanese editions take for the same.
A text that looks defused already gets one quote more, so that every text is read back exactly as it was.
"""

import re

_RUN = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_DEFUSED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")


def defused(text: str) -> str:
    """Returns the text as a cell that no spreadsheet runs."""
    return f"'{text}" if _RUN.match(text) else text


def restored(cell: str) -> str:
    """Returns the text of which defused() made the cell; any other cell as it is."""
    return cell[1:] if _DEFUSED.match(cell) else cell
