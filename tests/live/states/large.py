"""What is large when it is written out; asv drops what a call returns."""


def time_flat():
    return list(range(1_000_000))


def time_deep():
    level = [1]
    for _ in range(50):
        level = [level, level]
    return level


def time_text():
    return "x" * 30_000_000


def time_refers_to_itself():
    ring = {}
    ring["ring"] = ring
    return ring
