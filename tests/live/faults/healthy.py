NUMBERS = list(range(2000))


def time_sum():
    return sum(NUMBERS)


def time_sort():
    return sorted(NUMBERS, key=lambda number: -number)[0]
