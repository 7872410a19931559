"""What `setup_cache` makes: a value, and files. Each call of one leaves a line in `made`, in TMPDIR."""
import os
import tempfile
import time

timeout = 60


def note(word):
    with open(os.path.join(tempfile.gettempdir(), "made"), "a") as stream:
        stream.write("%s %s\n" % (word, os.path.basename(os.getcwd()).split("-")[1]))


class Nothing:
    def setup_cache(self):
        note("nothing")
        with open("table", "w") as stream:
            stream.write("1 2 3")

    def track_words(self):
        with open("table") as stream:
            return len(stream.read().split())


class Inherits(Nothing):
    def track_letters(self):
        with open("table") as stream:
            return len(stream.read())


class Zero:
    def setup_cache(self):
        note("zero")
        return 0

    def setup(self, value):
        self.value = value + 5

    def track_given(self, value):
        return self.value if value == 0 else -1


class Overrides(Zero):
    def setup_cache(self):
        note("overridden")
        return []

    def setup(self, value):
        self.value = len(value) + 6

    def track_given(self, value):
        return self.value if value == [] else -1


class Slow:
    """Longer than a benchmark may take, and not longer than it may itself."""

    timeout = 5

    def setup_cache(self):
        note("slow")
        time.sleep(5.5)
        return list(range(100))

    setup_cache.timeout = 60

    def track_length(self, numbers):
        return len(numbers)


class Raises:
    def setup_cache(self):
        note("raises")
        raise LookupError("planted in the cache")

    def track_one(self, value):
        return 1

    def track_two(self, value):
        return 2


class Unpicklable:
    def setup_cache(self):
        return lambda: 1

    def track_one(self, value):
        return 1


class Hangs:
    def setup_cache(self):
        time.sleep(600)

    setup_cache.timeout = 1

    def track_one(self, value):
        return 1
