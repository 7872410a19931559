"""A row in every table, whatever tables there are."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_VALUES = {"TEXT": "text", "BOOLEAN": True, "FLOAT": 1.5, "DOUBLE_PRECISION": 1.5, "INTEGER": 7}


def fill(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Put a row into each table of a database, parents first: values by their types. Returns the rows, by table."""
    found = sa.MetaData()
    found.reflect(connection)
    rows = {}
    for table in found.sorted_tables:
        if table.name != "alembic_version":
            rows[table.name] = {
                column.name: _VALUES[type(column.type).__visit_name__.upper()] for column in table.columns}
            connection.execute(sa.insert(table), rows[table.name])
    return rows


def kept(connection: sa.Connection, rows: dict[str, dict[str, Any]]) -> bool:
    """Whether these rows are still there, in the columns that are."""
    found = sa.MetaData()
    found.reflect(connection)
    for name, row in rows.items():
        (now,) = connection.execute(sa.select(found.tables[name])).mappings()
        if any(now[column] != value for column, value in row.items() if column in now):
            return False
    return True
