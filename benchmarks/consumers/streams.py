"""What reads and writes files, over a buffer in the place of one."""

from io import BytesIO, TextIOWrapper

from ..sizes import SIZES, copies
from .data import needed, rows, text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

PROTOCOL = 4
"""The default of most supported interpreters, and known to all: the same work for every one of them."""


class Copy:
    """`shutil.copyfileobj` from one buffer into another; a call does it `sizes.BATCH[size]` times."""

    params = ("4KiB", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        import shutil

        self.copyfileobj = shutil.copyfileobj
        self.copies = copies(size)

    def time_copy(self, size: str) -> int:
        """Up to 64 KiB it is one read of the whole, which is shared: one copy, of three without copy-on-write."""
        copyfileobj = self.copyfileobj
        for data in self.copies:
            target = BytesIO()
            copyfileobj(BytesIO(data), target)
        return target.tell()


class Text:
    """`io.TextIOWrapper` around a buffer, UTF-8."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = text(size)
        self.lines = self.data.decode("ascii").splitlines(True)

    def written(self) -> bytes:
        """Return the lines as they were written."""
        buffer = BytesIO()
        stream = TextIOWrapper(buffer, encoding="utf-8", newline="\n")
        for line in self.lines:
            stream.write(line)
        stream.flush()
        return buffer.getvalue()

    def time_read(self, size: str) -> int:
        """A read of the whole: its bytes are shared, up to where they are decoded."""
        return len(TextIOWrapper(BytesIO(self.data), encoding="utf-8").read())

    def time_iterate(self, size: str) -> int:
        """Line by line, from chunks that are copied either way: only construction differs."""
        return sum([1 for _ in TextIOWrapper(BytesIO(self.data), encoding="utf-8")])

    def time_write(self, size: str) -> int:
        """Writes of 8 KiB at a time, and a `getvalue()` that is shared or copied."""
        return len(self.written())


class Csv:
    """`csv` through a text layer; 1000 rows."""

    version = "1"

    def setup(self) -> None:
        self.csv = needed("csv")
        self.rows = rows()
        self.data = self.written()

    def written(self) -> bytes:
        """Return the rows as a file."""
        buffer = BytesIO()
        stream = TextIOWrapper(buffer, encoding="utf-8", newline="")
        self.csv.writer(stream).writerows(self.rows)
        stream.flush()
        return buffer.getvalue()

    def time_write(self) -> int:
        """The work of `csv`: no difference expected."""
        return len(self.written())

    def time_read(self) -> int:
        """The work of `csv`: no difference expected."""
        return sum([len(row) for row in self.csv.reader(TextIOWrapper(BytesIO(self.data), "utf-8", newline=""))])


class Wave:
    """Sound files of 16 bits and two channels, a thousand frames at a time."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"
    frames = 1024

    def setup(self, size: str) -> None:
        self.wave = needed("wave")
        frame = 4
        self.pieces = [bytes(range(256)) * (self.frames * frame // 256)] * (SIZES[size] // (self.frames * frame))
        self.data = self.written()

    def written(self) -> bytes:
        """Return the file."""
        buffer = BytesIO()
        with self.wave.open(buffer, "wb") as sound:
            sound.setnchannels(2)
            sound.setsampwidth(2)
            sound.setframerate(44100)
            for piece in self.pieces:
                sound.writeframes(piece)
        return buffer.getvalue()

    def time_write(self, size: str) -> int:
        """After each piece the length at the beginning is written over, in a buffer that nobody shares."""
        return len(self.written())

    def time_read(self, size: str) -> int:
        """Construction is shared or copied; what is read are parts, copied either way."""
        count = 0
        with self.wave.open(BytesIO(self.data), "rb") as sound:
            while True:
                piece = sound.readframes(self.frames)
                if not piece:
                    return count
                count += len(piece)


class Pickles:
    """`pickle` to and from a buffer: 1000 records as one pickle, and each as one of its own."""

    version = "1"

    def setup(self) -> None:
        import pickle

        self.pickle = pickle
        self.rows = rows()
        self.whole, self.each = self.dumped(), self.dumped_each()

    def dumped(self) -> bytes:
        """Return all records as one pickle."""
        buffer = BytesIO()
        self.pickle.dump(self.rows, buffer, PROTOCOL)
        return buffer.getvalue()

    def dumped_each(self) -> bytes:
        """Return the pickles of all records, one after the other."""
        buffer = BytesIO()
        dump = self.pickle.dump
        for row in self.rows:
            dump(row, buffer, PROTOCOL)
        return buffer.getvalue()

    def time_dump(self) -> int:
        """One large write, and a `getvalue()` that is shared or copied."""
        return len(self.dumped())

    def time_dump_each(self) -> int:
        """Many small writes: shows the price of asking at each whether the buffer is shared."""
        return len(self.dumped_each())

    def time_load(self) -> int:
        """The data is shared or copied at construction, and read in large parts."""
        return len(self.pickle.load(BytesIO(self.whole)))

    def time_load_each(self) -> int:
        """Many small reads: only construction differs."""
        load, stream = self.pickle.load, BytesIO(self.each)
        for _ in self.rows:
            number: int = load(stream)[0]
        return number
