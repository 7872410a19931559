"""Set-up makes what the body uses up, or finds changed; `Pure` says that it does not."""
import gc
import time


class Shuffled:
    def setup(self):
        number, self.numbers = 1, []
        for _ in range(3000):
            number = number * 16807 % 2147483647
            self.numbers.append(number)

    def time_in_place(self):
        self.numbers.sort()


class ShuffledCopy(Shuffled):
    def time_in_place(self):
        list(self.numbers).sort()


class Drained:
    def setup(self):
        self.lines = iter(["line"] * 4000)

    def time_join(self):
        if len(" ".join(self.lines)) != 4000 * 5 - 1:
            raise RuntimeError("drained before this call")


class Unseen:
    def setup(self):
        self.seen = False

    def time_once(self):
        if self.seen:
            raise RuntimeError("seen before this call")
        self.seen = True


class Numbered(Unseen):
    number = 3


class Pure:
    lockstep_setup = "once"
    made = 0

    def setup(self):
        self.made += 1
        if self.made > 1:
            raise RuntimeError("set up twice")

    def time_nothing(self):
        pass


class SlowToSetUp:
    def setup(self):
        time.sleep(0.02)
        self.words = [str(number) for number in range(20)]

    def time_pop(self):
        self.words.pop()


class Uncollected:
    """Garbage is collected between calls, and not in them."""

    calls = 0

    def setup(self):
        if self.calls and gc.isenabled():
            raise RuntimeError("collects in set-up")

    def time_look(self):
        self.calls += 1
        if self.calls > 1 and gc.isenabled():
            raise RuntimeError("collects in the call")

    def teardown(self):
        if not gc.isenabled():
            raise RuntimeError("never collects")
