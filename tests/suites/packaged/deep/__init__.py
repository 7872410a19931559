"""A sub-package with a benchmark of its own."""

from ..common import words


class Deep:
    params = ["a", "a b", "a b c"]
    param_names = ["text"]

    def time_words(self, text):
        words(text)
