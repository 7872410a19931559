raise RuntimeError("planted on import")


def time_never():
    pass
