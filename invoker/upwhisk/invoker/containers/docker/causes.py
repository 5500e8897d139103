"""What is at the bottom of a client library's error. Pure."""

from __future__ import annotations

import os
import ssl


def cause_of(error: BaseException) -> str:
    """The operating system's word, or that of TLS, if there is one; else the error's own."""
    found = str(error) or type(error).__name__
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            found = f"its certificate is not trusted: {getattr(seen, 'verify_message', seen)}"
        elif isinstance(seen, ssl.SSLError):
            reason = getattr(seen, "reason", None) or str(seen)
            found = f"TLS: {reason.lower().replace('_', ' ')}"
        elif isinstance(seen, OSError) and seen.errno and not str(seen.strerror or "").startswith("["):
            found = os.strerror(seen.errno)
        seen = seen.__cause__ or seen.__context__
    return found
