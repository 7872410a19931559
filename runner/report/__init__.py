"""Views of a `judging.report.Report`: one module a format, each with ``render(report) -> str``. No decisions here."""
