"""How the API answers: as JSON, CSV or parquet, in pages of a list, and with a mark by which a client sees that it has
the answer already."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import pandas as pd
import pyarrow
from fastapi import Query, Request
from pyarrow import parquet
from pydantic import TypeAdapter
from starlette.responses import Response

from runner.history.tables import csv
from runner.service.problems import Problem

Kind = Literal["json", "csv", "parquet"]
MEDIA: Mapping[Kind, str] = {
    "json": "application/json", "csv": "text/csv", "parquet": "application/vnd.apache.parquet",
}
"""Media types by format; the first is what is sent to whom it does not matter."""
TABLES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The list, or a table of it.", "content": {
        MEDIA["csv"]: {"schema": {"type": "string"}},
        MEDIA["parquet"]: {"schema": {"type": "string", "format": "binary"}},
    }},
    304: {"description": "What the client has is what there is."},
}
"""What addresses answer, for the description of the API."""
Format = Annotated[Kind | None, Query(description="Instead of what the header Accept says.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
After = Annotated[str, Query(max_length=1000, description="Go on behind this one: `next` of the answer before.")]
T = TypeVar("T")
_JSON: TypeAdapter[Any] = TypeAdapter(Any)
"""What is written is ours, and is not looked at once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered, in whatever format."""

    content: Callable[[], Any]
    """For JSON: records, mappings, lists, texts and numbers; what is not finite becomes null."""
    table: Callable[[], pd.DataFrame]
    """For the other formats."""
    next: str = ""
    """What to ask for as `after` to go on; empty: this is the end."""


def answer(request: Request, state: str, format: Kind | None, made: Callable[[], Answer], *, public: bool) -> Response:
    """Answer a request.

    `state` changes whenever what `made` would return does, for the same address. Raises Problem 406 where no format
    suits the client, and what `made` raises.
    """
    kind = format or _accepted(request.headers.get("accept", "*/*"))
    told = "\0".join((state, version("lockstep"), kind, request.url.path, request.url.query))
    mark = hashlib.sha256(told.encode(errors="replace")).hexdigest()[:20]
    if (same := unchanged(request, mark, public=public, weak=True)) is not None:
        return same
    found = made()
    headers = headers_of(mark, public=public, weak=True)
    if found.next:
        query = [(name, text) for name, text in request.query_params.multi_items() if name != "after"]
        headers["Link"] = f'<{quote(request.url.path)}?{urlencode([*query, ("after", found.next)])}>; rel="next"'
    return Response(_written(found, kind), headers=headers, media_type=MEDIA[kind])


def page_of(
    items: Iterable[T], key: Callable[[T], str], after: str, limit: int
) -> tuple[Sequence[T], str]:
    """Those behind the one that `after` names, and what to ask for next. Of `items` no more are taken than that needs.

    Raises Problem 404 where none is so named.
    """
    left = iter(items)
    if after and not any(key(one) == after for one in left):  # which goes on behind the one that it has found
        raise Problem(404, "after", "The list cannot be gone on with.",
                      "What `after` names is not there any more; begin anew without it.")
    shown = list(islice(left, limit))
    return shown, "" if next(left, None) is None else key(shown[-1])


def unchanged(request: Request, mark: str, *, public: bool, weak: bool = False) -> Response | None:
    """The answer to a client that has what `mark` tells already; None where it has not."""
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if f'"{mark}"' not in known and "*" not in known:
        return None
    return Response(status_code=304, headers=headers_of(mark, public=public, weak=weak))


def headers_of(mark: str, *, public: bool, weak: bool = False) -> dict[str, str]:
    """Of an answer that is to be asked for again before it is used again; `weak`: what it says is told, not its bytes.

    What not all may read is kept by nobody on the way.
    """
    return {
        "ETag": f'{"W/" * weak}"{mark}"', "Cache-Control": "no-cache" if public else "private, no-cache",
        "Vary": "Accept, Authorization, Cookie",
    }


def _accepted(accept: str) -> Kind:
    """The format that suits an Accept header best (RFC 9110, 12.5.1), the first of `MEDIA` where several do."""
    wanted = [_range(one) for one in accept.split(",") if one.strip()]
    best: tuple[float, Kind] | None = None
    for kind, media in MEDIA.items():
        fitting = [one for one in wanted if one[0] in (media, f"{media.partition('/')[0]}/*", "*/*")]
        if not fitting:
            continue
        # The most specific range says how much it is wanted.
        quality = max(fitting, key=lambda one: (one[0] == media, not one[0].startswith("*")))[1]
        if quality > 0 and (best is None or quality > best[0]):
            best = quality, kind
    if best is None:
        raise Problem(406, "format", "None of the formats that you take can be had.",
                      f"There are {', '.join(MEDIA.values())}; or write ?format= with {', '.join(MEDIA)}.")
    return best[1]


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return media, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return media, 0.0


def _written(found: Answer, kind: Kind) -> bytes:
    if kind == "json":
        return _JSON.dump_json(found.content()) + b"\n"
    if kind == "csv":
        return csv(found.table())
    stream = io.BytesIO()
    table = pyarrow.Table.from_pandas(found.table(), preserve_index=False).replace_schema_metadata(None)
    parquet.write_table(table, stream)
    return stream.getvalue()
