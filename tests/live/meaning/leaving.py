"""What is there until somebody removes it: in TMPDIR, in /dev/shm, or among the processes."""
import atexit
import os
import shutil
import subprocess
import tempfile
import time

NAME = "lockstep-left-%d-" % os.getpid()
timeout = 60


class Folder:
    def setup(self):
        self.folder = tempfile.mkdtemp(prefix=NAME)

    def time_look(self):
        os.listdir(self.folder)

    def teardown(self):
        shutil.rmtree(self.folder)


class SlowToTearDown(Folder):
    lockstep_setup = "once"

    def teardown(self):
        time.sleep(0.3)
        shutil.rmtree(self.folder)


class Daemon:
    """In a session of its own."""

    def setup(self):
        self.child = subprocess.Popen(["sleep", "7654"], start_new_session=True)

    def time_nothing(self):
        pass

    def teardown(self):
        self.child.kill()
        self.child.wait()


class Fails(Folder):
    def time_look(self):
        raise ValueError("planted in the body")


class Hangs(Folder):
    timeout = 3

    def time_look(self):
        time.sleep(600)


class HangsInTeardown(Folder):
    lockstep_setup = "once"
    timeout = 3

    def teardown(self):
        shutil.rmtree(self.folder)
        time.sleep(600)


class FailsInTeardown:
    def time_nothing(self):
        pass

    def teardown(self):
        raise OSError("planted in teardown")


class AtExit:
    """What nobody tears down, and an interpreter removes at its end."""

    def setup(self):
        self.folder = tempfile.TemporaryDirectory(prefix=NAME)
        folder = tempfile.mkdtemp(prefix=NAME)
        atexit.register(shutil.rmtree, folder)

    def time_look(self):
        os.listdir(self.folder.name)


class SharedMemory:
    lockstep_setup = "once"

    def setup(self):
        from multiprocessing import shared_memory

        self.memory = shared_memory.SharedMemory(name=NAME + "memory", create=True, size=4096)

    def time_sum(self):
        return sum(self.memory.buf[:100])


class OtherGroup:
    """A shell of its own process group, which goes on after the one that has started it."""

    lockstep_setup = "once"

    def setup(self):
        subprocess.run(["sh", "-c", "set -m; sleep 7654 & exit"], check=True)

    def time_nothing(self):
        pass
