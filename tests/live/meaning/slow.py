"""A set-up that takes longer than all that is measured."""
import time


class Slow:
    def setup(self):
        time.sleep(0.6)
        self.words = ["word"] * 1000

    def time_clear(self):
        self.words.clear()
