"""The set-up is the module's."""
SEEN = []


def setup():
    del SEEN[:]


def time_once():
    if SEEN:
        raise RuntimeError("seen before this call")
    SEEN.append(1)
