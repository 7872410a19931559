"""How hypothesis searches, for all tests: a law may fail; how busy the machine is, and what is drawn first, may not.

Where a variable such as CI says that this is a CI service, hypothesis draws the same each time: its profile `ci` is
what these begin with. Elsewhere it draws anew, and a failure is told with what repeats it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

CHANCE = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
"""They speak of the machine, and of the first examples that are drawn."""

settings.register_profile("lockstep", deadline=None, print_blob=True, suppress_health_check=CHANCE)
settings.load_profile("lockstep")
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3000")), derandomize=False)
"""For `pytest --hypothesis-profile fuzz`; `make fuzz` says how many."""
