import pyperf

if __name__ == "__main__":
    pyperf.Runner().bench_func("sums", sum, range(300))  # a name that another script has too
