"""URLs of servers, as they may be shown."""

import re
from urllib.parse import urlsplit


def without_password(url: str) -> str:
    """Hides the password, where it is before the host and where it is in the query."""
    try:
        hidden = urlsplit(url).password
    except ValueError:
        return "(not a URL)"
    shown = url.replace(f":{hidden}@", ":…@", 1) if hidden else url
    return re.sub(r"(?i)(password=)[^&]*", r"\1…", shown)
