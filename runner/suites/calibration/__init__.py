"""The benchmarks of `lockstep calibrate`: for any interpreter from Python 3.8 on, standard library only."""
