"""Source text that is timed in processes of its own, and sizes of objects."""


class Text:
    params = ([20000, 200000],)

    def timeraw_sum(self, count):
        return "total = sum(numbers)", """
        numbers = range({0})
        """.format(count)


def timeraw_once_a_process():
    return """
    import sys
    assert "fractions" not in sys.modules
    import fractions
    """


def timeraw_with_a_variable():
    return "import os; assert os.environ['GIVEN'] == '7'"


timeraw_with_a_variable.env = {"GIVEN": 7}


def timeraw_fails():
    return "raise ValueError('planted in the text')"


def timeraw_nothing():
    return None


def mem_list():
    return [0] * 256


def mem_shared_in_part():
    return {number: [number] * 100 for number in range(50)}
