"""A client and the API say the same: what a client reads is what the OpenAPI document promises, of the same kind.

They have records of their own: a client names what it needs, so that it gets along with servers that are older or newer
than it is; the server names all that it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import pytest
from made_server import serving
from pydantic import TypeAdapter

from runner import client

ANSWERS: dict[type[Any], str] = {
    client.Uploaded: "Received", client.Run: "RunRecord", client.Segment: "SeriesRecord", client.Request: "Asked",
    client.Claim: "Claimed", client.Beat: "Beaten",
}
"""What the document calls each record."""
Kind = Any


def kind(schema: dict[str, Any], names: dict[str, Any]) -> Kind:
    """What values there are: the name of a type, ``[of what]`` for lists, fields for objects, a tuple for several."""
    if "$ref" in schema:
        return kind(names[schema["$ref"].rpartition("/")[2]], names)
    if "anyOf" in schema:
        return tuple(sorted((kind(one, names) for one in schema["anyOf"]), key=str))
    if schema.get("type") == "array":
        return [kind(schema["items"], names)]
    if "properties" in schema:
        return {name: kind(one, names) for name, one in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        return {"*": kind(schema["additionalProperties"], names)}
    return schema["type"]


def differences(wanted: Kind, promised: Kind, place: str) -> Iterator[str]:
    """Where what a client reads is not there, or is of another kind. More may be there."""
    if isinstance(wanted, dict) and isinstance(promised, dict):
        for name, one in wanted.items():
            if name in promised:
                yield from differences(one, promised[name], f"{place}.{name}")
            else:
                yield f"{place}.{name} is not there"
    elif isinstance(wanted, list) and isinstance(promised, list):
        yield from differences(wanted[0], promised[0], f"{place}[]")
    elif wanted != promised:
        yield f"{place} is {promised}, not {wanted}"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with serving(tmp_path_factory.mktemp("served") / "data") as here:
        return here.app.openapi()


@pytest.mark.parametrize("record", ANSWERS, ids=lambda record: str(record.__name__))
def test_what_a_client_reads_is_promised(document: dict[str, Any], record: type[Any]) -> None:
    promised = document["components"]["schemas"]
    read = TypeAdapter(record).json_schema(ref_template="{model}")
    schema = promised[ANSWERS[record]]
    assert list(differences(kind(read, read.get("$defs", {})), kind(schema, promised), record.__name__)) == []
    needed = {one.name for one in fields(record) if one.default is MISSING}
    assert needed <= set(schema["required"])


def test_what_a_client_asks_is_taken(document: dict[str, Any]) -> None:
    taken = document["components"]["schemas"]["Asking"]
    sent = TypeAdapter(client.Wanted).json_schema()
    assert kind(sent, {}) == kind(taken, {}), "one that it does not know is refused"
    given = {name: one["default"] for name, one in sent["properties"].items() if "default" in one}
    assert given == {name: one["default"] for name, one in taken["properties"].items() if "default" in one}


@pytest.mark.parametrize(("wanted", "promised"), [
    ({"a": "string"}, {}), ({"a": "string"}, {"a": "number"}), ({"a": ["string"]}, {"a": [{"b": "string"}]}),
    ({"a": ("null", "number")}, {"a": "number"}), ({"*": "integer"}, {"*": "string"}),
])
def test_a_difference_is_found(wanted: Kind, promised: Kind) -> None:
    assert list(differences(wanted, promised, "it"))
