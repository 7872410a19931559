"""What schemathesis has to know of a body that is a parcel: any bytes may be sent, under its media type."""

from __future__ import annotations

from typing import Any

import schemathesis

from runner.storage import parcel


@schemathesis.serializer(parcel.MEDIA)
def _as_bytes(_: Any, value: Any) -> bytes:
    value = getattr(value, "data", value)
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
