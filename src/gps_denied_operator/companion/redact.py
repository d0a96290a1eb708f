"""What may be shown of another machine's output: no keys, no tokens, no control characters, no endless lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gps_denied_onboard.untrusted.text import shown as foreign

LINE_CHARS_MAX = 2000
HIDDEN = "***"
_SECRET = re.compile(
    r"(?i)\b(api[-_ ]?key|[a-z0-9_]*(?:token|passwo?r?d|secret|_key)|authorization(?::\s*(?:bearer|basic))?)"
    r"(\"?\s*[=:]\s*\"?|\s+)(?=\S)([^\s\",;]+)"
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+@")
_PRIVATE_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*")


def shown(line: str, secrets: Sequence[str] = ()) -> str:
    """A line as it may be logged: known secrets and what looks like one replaced, cut to a bounded length."""
    for secret in secrets:
        if secret:
            line = line.replace(secret, HIDDEN)
    line = _PRIVATE_BLOCK.sub(HIDDEN, line[: 2 * LINE_CHARS_MAX])
    line = _URL_PASSWORD.sub(rf"\1{HIDDEN}@", line)
    line = _SECRET.sub(lambda found: f"{found[1]}{found[2]}{HIDDEN}" if found[2].strip() else found[0], line)
    return foreign(line[:LINE_CHARS_MAX], LINE_CHARS_MAX)[:LINE_CHARS_MAX]
