"""What schemathesis has to know of a body that is a parcel: archives of all kinds, sent under its media type."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from parcels import altered, members, of_members, packed, scratched, some_run, squeezed

from runner.storage import parcel

with tempfile.TemporaryDirectory() as _folder:
    _run = some_run(Path(_folder))
    WHOLE, FILES = packed(_run), members(_run)
"""One run: whatever is taken of it, or of what was made of it, the server keeps few."""

schemathesis.openapi.media_type(parcel.MEDIA, st.one_of(
    altered(FILES).map(of_members), scratched(gzip.decompress(WHOLE)).map(squeezed), scratched(WHOLE), st.just(WHOLE),
    st.binary(max_size=400).map(squeezed), st.binary(max_size=400),
))


@schemathesis.serializer(parcel.MEDIA)
def _as_bytes(_: Any, value: Any) -> bytes:
    """Anything else, too, that is tried in its place."""
    value = getattr(value, "data", value)
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
