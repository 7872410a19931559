"""The tables of the service's database: what is not a file. What was measured is: run folders, the ledger, imports.

Times are seconds since the epoch; texts are empty where there is nothing to say. A change here needs a migration
(`migrations/versions`), and the tests compare the two.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, text

metadata = MetaData(naming_convention={
    "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s",
})

tokens = Table(
    "tokens", metadata,
    Column("id", Text, primary_key=True),  # eight hexadecimal digits, a part of the token's text
    Column("name", Text, nullable=False),  # of a person or machine
    Column("machine", Boolean, nullable=False),
    Column("scopes", Text, nullable=False),  # separated by blanks, in alphabetical order
    Column("hash", Text, nullable=False),  # argon2id of the secret
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("host", Text, nullable=False),  # of a machine: `host` of its manifests, bound when it is first used
    Column("used", Float),
)

sessions = Table(
    "sessions", metadata,
    Column("hash", Text, primary_key=True),  # sha256 of what the cookie has
    Column("token", Text, ForeignKey("tokens.id"), nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
)

uploads = Table(
    "uploads", metadata,
    Column("token", Text, ForeignKey("tokens.id"), primary_key=True),
    Column("key", Text, primary_key=True),  # what the sender called it: one key, one content
    Column("digest", Text, nullable=False),  # of the contents
    Column("run", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("watch", Text, nullable=False),
    Column("commit", Text, nullable=False),  # of head, full hash
    Column("branch", Text, nullable=False),
    Index("ix_uploads_watch", "watch", "commit"),
)

audit = Table(
    "audit", metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("time", Float, nullable=False),
    Column("token", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
)

requests = Table(
    "requests", metadata,
    Column("id", Text, primary_key=True),
    Column("created", Float, nullable=False),
    Column("token", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("source", Text, nullable=False),  # api, form, github
    Column("key", Text, unique=True),  # of what asked, where it may ask twice
    Column("base", Text, nullable=False),
    Column("head", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("select", Text, nullable=False),
    Column("margin", Float, nullable=False),
    Column("budget", Float, nullable=False),
    Column("machine", Text, nullable=False),  # empty: any
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("finished", Float),
    Column("problem", Text, nullable=False),
    Column("reply", Text, nullable=False),  # where it is answered beside its page, as JSON
    Column("told", Text, nullable=False),  # what was answered there: nothing yet, open, over
    Index("ix_requests_state", "state", "created"),
)

HELD = text("state = 'held'")

leases = Table(
    "leases", metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False, index=True),
    Column("machine", Text, nullable=False),  # name of the token
    Column("token", Text, nullable=False),
    Column("facts", Text, nullable=False),  # what the machine said of itself, as JSON
    Column("begun", Float, nullable=False, index=True),
    Column("expires", Float, nullable=False),
    Column("heard", Float),  # when it last said that it works; None: never
    Column("ended", Float),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    # One machine has a request, and a machine has one.
    Index("uq_leases_request_held", "request", unique=True, sqlite_where=HELD, postgresql_where=HELD),
    Index("uq_leases_token_held", "token", unique=True, sqlite_where=HELD, postgresql_where=HELD),
)

results = Table(
    "results", metadata,
    Column("request", Text, ForeignKey("requests.id"), primary_key=True),
    Column("run", Text, primary_key=True),
    Column("lease", Text, nullable=False),
)

deliveries = Table(
    "deliveries", metadata,
    Column("id", Text, primary_key=True),  # of a webhook: each counts once
    Column("time", Float, nullable=False),
)
