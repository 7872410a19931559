"""200 combinations that asv_runner's marks, or the body itself, leave out in part."""

from asv_runner.benchmarks.mark import (
    SkipNotImplemented,
    parameterize,
    skip_benchmark,
    skip_benchmark_if,
    skip_for_params,
    skip_params_if,
)

TENS = list(range(0, 100, 10))


class Marked:
    params = [TENS, ["a", "b", "c", "d", "e"]]
    param_names = ["ten", "letter"]

    @skip_for_params([(10, "a"), (20, "b")])
    def time_for_params(self, ten, letter):
        sum(range(ten))

    @skip_params_if([(30, "c"), (40, "d")], True)
    def time_params_if(self, ten, letter):
        sum(range(ten))

    def time_in_the_body(self, ten, letter):
        if letter == "e":
            raise SkipNotImplemented("no e")
        sum(range(ten))


@parameterize({"ten": TENS, "letter": ["a", "b", "c", "d", "e"]})
def track_product(ten, letter):
    if letter == "e" and ten > 50:
        raise SkipNotImplemented("too much")
    return ten * (ord(letter) - 96)


@skip_benchmark
def time_never():
    raise RuntimeError("must not run")


@skip_benchmark_if(True)
class Never:
    def time_never(self):
        raise RuntimeError("must not run")
