"""Packages that are no part of Python: what is not installed for an interpreter is skipped there, and says so."""

from io import BytesIO

from ..sizes import SIZES
from .data import needed, noise, rows, text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

TEMPLATE = (
    "<table>{% for number, name, share in rows %}"
    "<tr><td>{{ number }}</td><td>{{ name }}</td><td>{{ share }}</td></tr>\n"
    "{% endfor %}</table>"
)
EDGE = 128
"""Pixels of a picture's side."""
URL = "http://localhost/"


class Jinja2:
    """A page of 1000 rows, rendered into a buffer."""

    version = "1"

    def setup(self) -> None:
        self.template = needed("jinja2").Template(TEMPLATE)
        self.rows = rows()

    def written(self) -> bytes:
        """Return the page."""
        buffer = BytesIO()
        self.template.stream(rows=self.rows).dump(buffer, "utf-8")
        return buffer.getvalue()

    def time_dump(self) -> int:
        """Thousands of small writes: shows the price of asking at each whether the buffer is shared."""
        return len(self.written())


class Pillow:
    """A PNG picture of 128 by 128 pixels."""

    version = "1"

    def setup(self) -> None:
        self.image = needed("PIL.Image")
        picture = self.image.frombytes("RGB", (EDGE, EDGE), text("64KiB")[:3 * EDGE * EDGE])
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        self.data = buffer.getvalue()

    def decoded(self) -> bytes:
        """Return the picture's pixels."""
        with self.image.open(BytesIO(self.data)) as picture:
            pixels: bytes = picture.tobytes()
        return pixels

    def time_decode(self) -> int:
        """Decompression is nearly all of it: no difference expected."""
        return len(self.decoded())


class Lxml:
    """`lxml.etree`; 1000 elements."""

    version = "1"

    def setup(self) -> None:
        self.etree = needed("lxml.etree")
        line = b'<row id="%d" name="%s">%r</row>'
        self.data = b"<rows>%s</rows>" % b"".join(
            [line % (number, name.encode(), share) for number, name, share in rows()])

    def time_parse(self) -> int:
        """The work of the parser: no difference expected."""
        return len(self.etree.parse(BytesIO(self.data)).getroot())

    def time_iterparse(self) -> int:
        """In parts of 32 KiB: only construction differs."""
        return sum([1 for _ in self.etree.iterparse(BytesIO(self.data))])


class Requests:
    """`requests`: the bodies that it sends and gets."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.requests = needed("requests")
        self.data = noise(SIZES[size])

    def uploaded(self) -> bytes:
        """Return the body of a request that uploads the data as a file."""
        files = {"upload": ("data.bin", BytesIO(self.data))}
        body: bytes = self.requests.Request("POST", URL, files=files).prepare().body
        return body

    def downloaded(self) -> bytes:
        """Return the body of a response."""
        response = self.requests.Response()
        response.status_code = 200
        response.raw = BytesIO(self.data)
        body: bytes = response.content
        return body

    def time_upload(self, size: str) -> int:
        """The file is read whole and shared; the body is written into a buffer, and its `getvalue()` shared too."""
        return len(self.uploaded())

    def time_download(self, size: str) -> int:
        """In parts of 10 KiB: only construction differs."""
        return len(self.downloaded())
