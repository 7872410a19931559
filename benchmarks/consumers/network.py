"""What serves and asks for something over a network, with a buffer in the place of the connection."""

from io import BytesIO, StringIO
from typing import Any, Dict, List

from ..sizes import SIZES, copies
from .data import text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

CHUNK = 8 * 1024
ADDRESS = ("localhost", 9)


class _Wire:
    """As much of a connection as is used: what was received is given to one reader after the other."""

    def __init__(self, received: bytes = b"") -> None:
        self.received = received
        self.count = 0

    def makefile(self, *_: object) -> BytesIO:
        self.count = 0
        return BytesIO(self.received)

    def sendall(self, data: bytes) -> None:
        self.count += len(data)

    def sendto(self, data: bytes, address: object) -> int:
        self.count = len(data)
        return len(data)


class Response:
    """`http.client.HTTPResponse`: headers and body."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        from http.client import HTTPResponse

        self.response = HTTPResponse
        data = text(size)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        self.plain = _Wire(head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        chunks = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)]
        body = b"".join([b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks])
        self.chunked = _Wire(head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")

    def body(self, wire: _Wire) -> bytes:
        """Return the body of the response that the wire has received."""
        response = self.response(wire)
        response.begin()
        body: bytes = response.read()
        return body

    def time_read(self, size: str) -> int:
        """With a length: what was received is shared or copied at construction; the body is a part, and copied."""
        return len(self.body(self.plain))

    def time_read_chunked(self, size: str) -> int:
        """In chunks of 8 KiB: only construction differs."""
        return len(self.body(self.chunked))


def _echo(environ: Dict[str, Any], start_response: Any) -> List[bytes]:
    """A WSGI application that answers with what it was sent."""
    body: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


class Wsgi:
    """A request with a body to a WSGI application, by `wsgiref.handlers`."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        from wsgiref.handlers import SimpleHandler

        self.handler = SimpleHandler
        self.data = text(size)
        self.environ = {
            "REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.0", "CONTENT_LENGTH": str(SIZES[size]),
        }

    def answer(self) -> bytes:
        """Return what goes back to the client."""
        answer = BytesIO()
        self.handler(BytesIO(self.data), answer, StringIO(), self.environ).run(_echo)
        return answer.getvalue()

    def time_echo(self, size: str) -> int:
        """The input is read whole, and shared all the way; the answer is a write and a `getvalue()`."""
        return len(self.answer())


class Datagram:
    """`socketserver.DatagramRequestHandler`, which gives the handler two buffers; 256 packets."""

    params = ("64B", "4KiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        from socketserver import DatagramRequestHandler

        class Echo(DatagramRequestHandler):
            def handle(self) -> None:
                self.wfile.write(self.rfile.read())

        self.handler = Echo
        self.wire = _Wire()
        self.packets = copies(size)

    def time_echo(self, size: str) -> int:
        """Construction, a read of the whole and a `getvalue()`: all three are shared, or each is a copy."""
        handler, wire = self.handler, self.wire
        for packet in self.packets:
            handler((packet, wire), ADDRESS, None)
        return wire.count


class Lines:
    """`socketserver.StreamRequestHandler` that answers each line."""

    params = ("64KiB",)
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        from socketserver import StreamRequestHandler

        class Echo(StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(line)

        self.handler = Echo
        self.wire = _Wire(text(size))

    def time_echo(self, size: str) -> int:
        """A call for each line: only construction differs."""
        self.handler(self.wire, ADDRESS, None)
        return self.wire.count
