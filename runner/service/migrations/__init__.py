"""What brings a database of the service from one version to the next (Alembic)."""
