"""What every answer tells the browser: load nothing from elsewhere, show us in no frame, keep no page.

The policy is as strict as Streamlit's scripts allow: see docs/security.md for each exception.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

Header = tuple[bytes, bytes]
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
ALWAYS: tuple[Header, ...] = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
OURS = frozenset(name for name, _ in ALWAYS) | {b"content-security-policy", b"server"}
NO_STORE: Header = (b"cache-control", b"no-store")
# the bundles' names hold a hash of what is in them: they alone may be kept
KEPT = "/static/"


def inline_hashes(html: str) -> str:
    """The digests of the scripts that stand in a page itself, as a policy names them."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in _INLINE.findall(html))
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def page_policy(hashes: str) -> str:
    """The policy of pages and everything on them."""
    return "; ".join((
        "default-src 'none'",
        # 'unsafe-eval': Plotly compiles what it draws by WebGL (more than 1,000 points, parallel coordinates)
        f"script-src 'self' 'unsafe-eval' {hashes}".rstrip(),
        "style-src 'self' 'unsafe-inline'",  # Streamlit writes its styles into the page
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ))  # fmt: skip


def join_policy() -> str:
    """The policy of the join form: no script at all."""
    return "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def secured(headers: Iterable[Header], path: str, policy: bytes) -> list[Header]:
    """An answer's headers with ours; what Streamlit says of the same matters is replaced."""
    given = list(headers)
    kept: Sequence[Header] = [(n, v) for n, v in given if n.lower() not in OURS]
    if not path.startswith(KEPT):
        kept = [(n, v) for n, v in kept if n.lower() != b"cache-control"] + [NO_STORE]
    return [*kept, *ALWAYS, (b"content-security-policy", policy)]
