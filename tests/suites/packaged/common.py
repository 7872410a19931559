"""What the modules share; no benchmarks."""


def words(text):
    return text.split()


def square(value):
    return value * value
