"""The lowest module, which imports from above in both ways."""

from packaged.common import square

from ...common import words


class Leaf:
    def setUp(self):
        self.text = "one two three " * 10

    def time_words(self):
        words(self.text)

    def time_square(self):
        square(12345)
