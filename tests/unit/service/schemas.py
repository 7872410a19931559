"""Past schemas of the service's database as frozen SQL, and a row in every table, whatever tables there are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from runner.service import database, tables

GOLDEN = Path(__file__).parents[2] / "golden"
DIALECTS = ("sqlite", "postgresql")
_VALUES = {"TEXT": "text", "BOOLEAN": True, "FLOAT": 1.5, "DOUBLE_PRECISION": 1.5, "INTEGER": 7}
_VERSION = """\
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);"""


def frozen(dialect: str, revision: str) -> Path:
    """The file with the SQL that makes an empty database of a past version, as a server of that version left it."""
    return GOLDEN / f"service-{revision}.{dialect}.sql"


def dump(dialect: str, revision: str) -> str:
    """What such a file is to have by our migrations."""
    found = _in_sqlite(revision) if dialect == "sqlite" else _in_postgresql(revision)
    lines = [line.rstrip() for line in found.splitlines() if line.strip()]
    return "\n".join([*lines, f"INSERT INTO alembic_version (version_num) VALUES ('{revision}');"]) + "\n"


def restore(connection: sa.Connection, revision: str) -> None:
    """Make an empty database one of a past version."""
    text = frozen(connection.dialect.name, revision).read_text(encoding="utf-8")
    for statement in filter(str.strip, text.split(";\n")):
        connection.exec_driver_sql(statement)


def _in_sqlite(revision: str) -> str:
    """What a database says of itself: there a migration may have to make a table anew, and no text tells how."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            database.migrate(connection, revision)
            made = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
            return "".join(f"{sql};\n" for sql in made.scalars())
    finally:
        engine.dispose()


def _in_postgresql(revision: str) -> str:
    """What the migrations would say to a database, which it takes none to know."""
    text = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": text, "target_metadata": tables.metadata})
    scripts = ScriptDirectory.from_config(database._config())
    with Operations.context(context):
        for one in database.revisions()[: database.revisions().index(revision) + 1]:
            script = scripts.get_revision(one)
            assert script is not None
            script.module.upgrade()
    return f"{_VERSION}\n{text.getvalue()}"


def shape(connection: sa.Connection) -> dict[str, Any]:
    """All that a database says of its tables, by name."""
    found = sa.inspect(connection)
    return {name: {
        "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(name)],
        "key": found.get_pk_constraint(name), "leads to": found.get_foreign_keys(name),
        "unique": found.get_unique_constraints(name), "indexes": found.get_indexes(name),
    } for name in found.get_table_names()}


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
