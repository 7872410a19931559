"""Called by Alembic, with the connection that `database.migrate` has."""

from __future__ import annotations

from alembic import context

from runner.service.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
