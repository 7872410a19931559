"""Set-ups and teardowns under all names that asv knows; each writes a word to the file `order`."""


def note(word, *arguments):
    with open("order", "a") as stream:
        stream.write(" ".join([word, *map(str, arguments)]) + "\n")


def SetUp(*arguments):
    note("set up by the module", *arguments)


def tearDown(*arguments):
    note("torn down by the module", *arguments)


class Camel:
    params = ([1, 2],)

    def setUp(self, size):
        note("set up by the class", size)

    def TEARDOWN(self, size):
        note("torn down by the class", size)

    def time_both(self, size):
        note("called", size)

    time_both.setup = lambda size: note("set up by the method", size)
    time_both.tearDown = lambda size: note("torn down by the method", size)


def make():
    note("cached")
    return {"cached": 7}


def time_alone(cache):
    note("called", *cache)


time_alone.setup = lambda cache: note("set up by the function", *cache)
time_alone.teardown = lambda cache: note("torn down by the function", *cache)
time_alone.setup_cache = make
