"""Time limits that are no ordinary number of seconds."""


def plain():
    return sum(range(100))


def limited(timeout):
    def time_it():
        return plain()

    time_it.timeout = timeout
    return time_it


LIMITS = {"none": None, "infinite": float("inf"), "huge": 1e12, "fraction": 0.9, "zero": 0, "negative": -1.0,
          "not_a_number": float("nan")}
for word, limit in LIMITS.items():
    function = limited(limit)
    function.__name__ = "time_" + word
    globals()["time_" + word] = function
del function
