import os

import pyperf

if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.argparser.add_argument("--count", type=int, default=0)
    args = runner.parse_args()
    with open(os.path.join(os.path.dirname(__file__), "data", "numbers")) as stream:
        numbers = [int(line) for line in stream][: args.count or None]
    runner.bench_func("few_sums" if args.count else "sums", sum, numbers)
