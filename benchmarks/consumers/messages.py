"""Documents in parts: mail, multipart bodies, XML."""

from io import BytesIO

from .data import needed, noise, rows, text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

BOUNDARY = "=====consumers====="
FIELDS = 8


class Mail:
    """A mail with two pictures, 64 KiB in base64: `email.parser` and `email.generator`."""

    version = "1"
    attachments = 2

    def setup(self) -> None:
        from email.generator import BytesGenerator
        from email.mime.application import MIMEApplication
        from email.mime.multipart import MIMEMultipart
        from email.mime.text import MIMEText
        from email.parser import BytesParser

        self.parser, self.generator = BytesParser, BytesGenerator
        message = MIMEMultipart(boundary=BOUNDARY)
        message["Subject"], message["From"], message["To"] = "Consumers", "a@localhost", "b@localhost"
        message.attach(MIMEText("Two attachments.\n"))
        for _ in range(self.attachments):
            message.attach(MIMEApplication(noise(24 * 1024)))
        self.message = message
        self.data = self.written()

    def written(self) -> bytes:
        """Return the mail."""
        buffer = BytesIO()
        self.generator(buffer).flatten(self.message)
        return buffer.getvalue()

    def time_parse(self) -> int:
        """Line by line through a text layer: no difference expected."""
        return len(self.parser().parse(BytesIO(self.data)).get_payload())

    def time_generate(self) -> int:
        """Many writes, and a `getvalue()` that is shared or copied."""
        return len(self.written())


def _form(data: bytes) -> bytes:
    """Return a multipart body with eight fields that have the data among them."""
    buffer = BytesIO()
    length = len(data) // FIELDS
    for number in range(FIELDS):
        buffer.write(b"--%s\r\n" % BOUNDARY.encode())
        buffer.write(b'Content-Disposition: form-data; name="field%d"\r\n\r\n' % number)
        buffer.write(data[number * length:(number + 1) * length])
        buffer.write(b"\r\n")
    buffer.write(b"--%s--\r\n" % BOUNDARY.encode())
    return buffer.getvalue()


class FormBuild:
    """A multipart body put together in a buffer."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = text(size)

    def time_build(self, size: str) -> int:
        """Some thirty writes, and a `getvalue()` that is shared or copied."""
        return len(_form(self.data))


class FormRead:
    """A multipart body taken apart by `email`, as was done by `cgi` before it left the standard library."""

    params = ("64KiB",)
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        from email.parser import BytesParser

        self.parser = BytesParser
        head = "Content-Type: multipart/form-data; boundary=%s\r\n\r\n" % BOUNDARY
        self.data = head.encode() + _form(text(size))

    def fields(self) -> "list[bytes]":
        """Return the content of each field."""
        message = self.parser().parse(BytesIO(self.data))
        return [part.get_payload(decode=True) for part in message.get_payload()]

    def time_parse(self, size: str) -> int:
        """Line by line through a text layer: no difference expected."""
        return sum([len(field) for field in self.fields()])


class Xml:
    """`xml.etree.ElementTree`; 1000 elements."""

    version = "1"

    def setup(self) -> None:
        self.trees = needed("xml.etree.ElementTree")
        needed("pyexpat")
        root = self.trees.Element("rows")
        for number, name, share in rows():
            self.trees.SubElement(root, "row", id=str(number), name=name).text = str(share)
        self.tree = self.trees.ElementTree(root)
        self.data = self.written()

    def written(self) -> bytes:
        """Return the document."""
        buffer = BytesIO()
        self.tree.write(buffer, encoding="utf-8")
        return buffer.getvalue()

    def time_iterparse(self) -> int:
        """In parts of 16 KiB: only construction differs."""
        count = 0
        for _event, element in self.trees.iterparse(BytesIO(self.data)):
            count += 1
            element.clear()
        return count

    def time_parse(self) -> int:
        """The work of the parser: no difference expected."""
        return len(self.trees.parse(BytesIO(self.data)).getroot())

    def time_write(self) -> int:
        """Many small writes through a text layer: no difference expected."""
        return len(self.written())
