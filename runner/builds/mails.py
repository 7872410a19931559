"""Patches that came by mail: what `git format-patch` writes and mail programs save, one text for each mail.

As `git am` reads them: transfer encodings are undone, and a message ends at its line ``---``. A text that is no mail
comes back as it is.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message

from runner.errors import UsageError

_SEPARATOR = re.compile(rb"^From \S+ .*\d\d:\d\d:\d\d \d{4}(?: [+-]\d{4})?\r?$", re.MULTILINE)
_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:[ \t]")
_NUMBERS = re.compile(r"\[[^\]]*?\b0*(\d+)/0*(\d+)[^\]]*\]")
_PATCHES = ("text/plain", "text/x-patch", "text/x-diff")
_BROKEN = ("InvalidBase64CharactersDefect", "InvalidBase64PaddingDefect", "InvalidBase64LengthDefect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A patch's text, or one mail's part of it."""

    label: str
    """What it is called in messages."""
    content: bytes
    first: int
    """Line of the file that it starts at, from 1; that of the mail where the mail was encoded."""
    by_mail: bool


def texts(content: bytes, name: str) -> tuple[Text, ...]:
    """The texts of a file, in order. Raises UsageError for a mail that cannot be read, and a series that is not whole.

    `name` is for messages.
    """
    starts = [match.start() for match in _SEPARATOR.finditer(content)]
    if not starts or content[:starts[0]].strip():
        starts = [0]
        if not _is_mail(content):
            return (Text(label=name, content=content, first=1, by_mail=False),)
    mails = [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]
    messages = [email.message_from_bytes(mail) for mail in mails]
    if len(mails) > 1:
        _check_series(messages, name)
    found = []
    for number, (start, mail, message) in enumerate(zip(starts, mails, messages, strict=True), 1):
        label = f"{name}, mail {number}" if len(mails) > 1 else name
        body = b"".join(_bodies(message, label))
        at = mail.find(body) if body else -1
        first = content.count(b"\n", 0, start + max(at, 0)) + 1
        found.append(Text(label=label, content=body, first=first, by_mail=True))
    return tuple(found)


def _is_mail(content: bytes) -> bool:
    head = re.split(rb"\r?\n\r?\n", content.lstrip(), maxsplit=1)[0].split(b"\n")
    if not _HEADER.match(head[0]):
        return False
    return any(line.lower().startswith((b"from: ", b"subject: ")) for line in head)


def _bodies(message: Message, label: str) -> Iterator[bytes]:
    for part in message.walk():
        named = (part.get_filename() or "").endswith((".patch", ".diff"))
        if part.is_multipart() or not (named or part.get_content_type() in _PATCHES):
            continue
        if str(part.get_param("format", "")).lower() == "flowed":
            raise UsageError(f"{label}: this mail is flowed text, which mail programs break and join as they like; get "
                             "the patch as a file")
        body = part.get_payload(decode=True)
        if any(type(defect).__name__ in _BROKEN for defect in part.defects):
            raise UsageError(f"{label}: this mail's base64 is damaged; get the patch again")
        if isinstance(body, bytes):
            yield body if body.endswith(b"\n") else body + b"\n"


def _check_series(messages: list[Message], name: str) -> None:
    subjects = [str(make_header(decode_header(str(message.get("Subject", ""))))) for message in messages]
    numbered = [match for subject in subjects if (match := _NUMBERS.search(subject))]
    totals = {int(match[2]) for match in numbered}
    if not numbered:
        return
    numbers = [int(match[1]) for match in numbered]
    whole = list(range(1, max(totals) + 1))
    if len(totals) > 1 or numbers not in (whole, [0, *whole]) or len(numbered) < len(messages):
        there = ", ".join(f"{match[1]}/{match[2]}" for match in numbered)
        raise UsageError(f"{name} is not one whole series of mails in order: it has {there} in {len(messages)} mails; "
                         "put them in order, or name each mail's file in the build: +FIRST+SECOND")
