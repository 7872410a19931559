"""What a benchmark may do: it is measured like any other."""

import os
import subprocess
import sys

LINE = "x" * 1023 + "\n"


def time_prints_a_megabyte():
    sys.stdout.write(LINE * 1024)
    sys.stderr.write(LINE * 1024)
    sys.stdout.flush()


def time_forks_and_the_child_exits():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


class LeavesAChild:
    def setup(self):
        self.child = subprocess.Popen(["sleep", "600"])

    def time_nothing(self):
        pass


class MakesAFolder:
    """In its working directory, which is its own, and is empty when it begins."""

    def setup(self):
        os.mkdir("made")

    def track_folders(self):
        return len(os.listdir())


class MakesAFolderOnce:
    lockstep_setup = "once"

    def setup(self):
        os.mkdir("made")

    def time_nothing(self):
        return len(os.listdir())
