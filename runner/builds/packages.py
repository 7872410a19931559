"""The packages that an interpreter finds installed: a benchmark may import any of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

SCRIPT = '''
def packages():
    import re
    from importlib.metadata import distributions
    try:
        from hashlib import sha256
    except Exception:
        sha256 = None
    found = {}
    for one in distributions():
        try:
            said = one.read_text("METADATA") or one.read_text("PKG-INFO") or one.read_text("") or ""
            head = re.split(r"\\r?\\n\\r?\\n", said)[0]
            head = dict(re.findall(r"(?m)^(Name|Version):[ \\t]*(.*?)[ \\t\\r]*$", head))
            name = re.sub(r"[-_.]+", "-", head["Name"]).lower()
            if name == "pip" or name in found:
                continue
            # Not what depends on the place of the environment, or on how and when it was installed.
            lines = [
                line for line in (one.read_text("RECORD") or "").splitlines()
                if not re.match(r"\\.\\.|/|[A-Za-z]:", line) and "__pycache__" not in line
                and not re.search(r"\\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\\.json)\\b", line)
            ]
            text = "\\n".join(sorted(lines))
            found[name] = " ".join(filter(None, [
                head.get("Version", "?"), sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
                if text and sha256 else "",
            ]))
        except Exception:
            place = getattr(one, "_path", None)
            found.setdefault(getattr(place, "name", None) or "?", "unreadable")
    return found
'''
"""Defines `packages`, for Python 3.8 and later; any Python can read it.

The version, and the first 8 digits of the hash of RECORD (of what an installer wrote below site-packages: bytecode,
scripts and the installer's notes are left out), by normalised name; the first of a name counts, as in an import. What
has no readable metadata is called ``unreadable``. pip is left out: every environment has its own, which nothing
imports.
"""


def without(found: Mapping[str, str], names: Collection[str]) -> Mapping[str, str]:
    """Return what was found, without the distributions of these names, however they are spelled."""
    left = {_normal(name) for name in names}
    return {name: version for name, version in found.items() if name not in left}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    """Return what each has of the packages that are not alike: ``numpy 2.1.0, six none``; empty texts for none.

    The hash is named only where the versions agree.
    """
    mine, its = [], []
    for name in sorted(one.keys() | other.keys()):
        here, there = one.get(name, "none"), other.get(name, "none")
        if here != there:
            if here.partition(" ")[0] != there.partition(" ")[0]:
                here, there = here.partition(" ")[0], there.partition(" ")[0]
            mine.append(f"{name} {here}")
            its.append(f"{name} {there}")
    return ", ".join(mine), ", ".join(its)
