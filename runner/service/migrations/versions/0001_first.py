"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True), sa.Column("name", sa.Text, nullable=False),
        sa.Column("machine", sa.Boolean, nullable=False), sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False), sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float), sa.Column("revoked", sa.Float), sa.Column("host", sa.Text, nullable=False),
        sa.Column("used", sa.Float),
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("token", sa.Text, sa.ForeignKey("tokens.id", name="fk_sessions_token"), nullable=False),
        sa.Column("csrf", sa.Text, nullable=False), sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )
    op.create_table(
        "uploads",
        sa.Column("token", sa.Text, sa.ForeignKey("tokens.id", name="fk_uploads_token"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True), sa.Column("digest", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False), sa.Column("time", sa.Float, nullable=False),
        sa.Column("watch", sa.Text, nullable=False), sa.Column("commit", sa.Text, nullable=False),
        sa.Column("branch", sa.Text, nullable=False),
    )
    op.create_index("ix_uploads_watch", "uploads", ["watch", "commit"])
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time", sa.Float, nullable=False), sa.Column("token", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False), sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False), sa.Column("subject", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, primary_key=True), sa.Column("created", sa.Float, nullable=False),
        sa.Column("token", sa.Text, nullable=False), sa.Column("person", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False), sa.Column("key", sa.Text),
        sa.Column("base", sa.Text, nullable=False), sa.Column("head", sa.Text, nullable=False),
        sa.Column("suite", sa.Text, nullable=False), sa.Column("select", sa.Text, nullable=False),
        sa.Column("margin", sa.Float, nullable=False), sa.Column("budget", sa.Float, nullable=False),
        sa.Column("machine", sa.Text, nullable=False), sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False), sa.Column("finished", sa.Float),
        sa.Column("problem", sa.Text, nullable=False), sa.Column("reply", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.UniqueConstraint("key", name="uq_requests_key"),
    )
    op.create_index("ix_requests_state", "requests", ["state", "created"])
    op.create_table(
        "leases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, sa.ForeignKey("requests.id", name="fk_leases_request"), nullable=False),
        sa.Column("machine", sa.Text, nullable=False), sa.Column("token", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False), sa.Column("begun", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False), sa.Column("heard", sa.Float), sa.Column("ended", sa.Float),
        sa.Column("state", sa.Text, nullable=False), sa.Column("note", sa.Text, nullable=False),
    )
    for column in ("request", "begun"):
        op.create_index(f"ix_leases_{column}", "leases", [column])
    held = sa.text("state = 'held'")
    for column in ("request", "token"):
        op.create_index(
            f"uq_leases_{column}_held", "leases", [column], unique=True, sqlite_where=held, postgresql_where=held)
    op.create_table(
        "results",
        sa.Column("request", sa.Text, sa.ForeignKey("requests.id", name="fk_results_request"), primary_key=True),
        sa.Column("run", sa.Text, primary_key=True), sa.Column("lease", sa.Text, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True), sa.Column("time", sa.Float, nullable=False),
    )
