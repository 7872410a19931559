"""Views of a `judging.compare.Report`: one module a format, each with ``render(report) -> str``. No decisions here."""
