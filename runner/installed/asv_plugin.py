"""asv's name for Lockstep's builds, where Lockstep is installed: ``"plugins": [".lockstep_ab.asv_plugin"]``."""

from runner.asv_plugin import Build

__all__ = ["Build"]
