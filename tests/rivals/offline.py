"""An asv plugin: asv's own virtualenv environments, with asv_runner lent by ours in place of a download.

asv imports it by name from the folder of asv.conf.json, so it is copied there and imports nothing of this package.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from asv.plugins.virtualenv import Virtualenv


class Offline(Virtualenv):  # type: ignore[misc]  # asv has no types
    tool_name = "offline"

    def _install_requirements(self) -> None:
        for package in ("asv_runner", "pympler"):
            spec = find_spec(package)
            if spec is not None and spec.origin is not None:
                for place in Path(self._path).glob("lib/python*/site-packages"):
                    (place / package).symlink_to(Path(spec.origin).parent)
