"""A message as a mail, by SMTP.

Its Message-ID is the same at every try. Where the server took it and its answer got lost, it is sent again: nothing can
be looked up there, and whether the second one is shown is the receiver's choice, which the Message-ID allows him.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from runner.alerts.message import Message
from runner.alerts.settings import Mail
from runner.sending import Failed, limits
from runner.sending import secrets as words
from runner.sending.limits import Watch
from runner.sending.secrets import Secrets
from runner.sending.spool import digest


def deliver(channel: Mail, message: Message, secrets: Secrets) -> str:
    """Send it to all; returns in words who got it. Raises Failed where nobody did."""
    password = words.get(secrets, channel.password_from) if channel.user else ""
    with _failing(), Watch(limits.LIMIT) as watch, _server(channel, watch) as server:
        if channel.user:
            server.login(channel.user, password)
        # From here on the mail may be under way, whatever comes back.
        refused = server.send_message(write(channel, message))
    taken = f"taken for {', '.join(to for to in channel.to if to not in refused)}"
    return f"{taken}; refused for {', '.join(refused)}" if refused else taken


def write(channel: Mail, message: Message) -> EmailMessage:
    """The mail: plain text, the same bytes for the same message."""
    domain = channel.sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    mail["Subject"] = " ".join(message.title.split())
    mail["Date"] = formatdate(message.created)
    mail["Message-ID"] = f"<{message.digest}@{domain}>"
    # Of no mail that there is: programs show mails that answer one and the same together.
    mail["References"] = f"<{digest(message.thread)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Lockstep-Key"] = message.digest
    mail.set_content(message.text, cte="quoted-printable")  # which every server takes
    return mail


class _Plain(smtplib.SMTP):
    def __init__(self, channel: Mail, watch: Watch) -> None:
        watch.hold(lambda: self.sock)  # the library's constructor connects, and waits for a greeting
        super().__init__(channel.server, channel.port, timeout=limits.LIMIT)


class _Secure(smtplib.SMTP_SSL):
    def __init__(self, channel: Mail, watch: Watch) -> None:
        watch.hold(lambda: self.sock)
        super().__init__(channel.server, channel.port, timeout=limits.LIMIT, context=ssl.create_default_context())


@contextmanager
def _server(channel: Mail, watch: Watch) -> Iterator[smtplib.SMTP]:
    server: smtplib.SMTP | None = None
    try:
        server = _Secure(channel, watch) if channel.security == "tls" else _Plain(channel, watch)
        if channel.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        yield server
        with contextlib.suppress(OSError):  # it has taken the mail: what it says to a goodbye is nothing to us
            server.quit()
    except BaseException:
        if server is not None:
            server.close()
        if watch.over:
            raise TimeoutError from None
        raise



@contextmanager
def _failing() -> Iterator[None]:
    """Whatever a server does, as Failed: its number, and none of its words, which may repeat what it was told."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise Failed(f"the server does not accept user and password ({error.smtp_code})", refused=True) from None
    except smtplib.SMTPNotSupportedError:
        raise Failed("the server lacks what is asked for: TLS, or logging in", refused=True) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise Failed(f"the server takes it for nobody ({', '.join(map(str, sorted(codes)))})",
                     refused=all(code >= 500 for code in codes)) from None
    except smtplib.SMTPResponseException as error:
        raise Failed(f"the server answered {error.smtp_code}", refused=error.smtp_code >= 500) from None
    except smtplib.SMTPException as error:
        raise Failed(f"the connection ended in mid-conversation ({type(error).__name__})") from None
    except TimeoutError:
        raise Failed(f"there was no answer within {limits.LIMIT:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Failed(f"the server's certificate is not trusted: {error.verify_message}") from None
    except socket.gaierror as error:
        raise Failed(f"the server's name is not known: {error.strerror}") from None
    except OSError as error:
        raise Failed(f"no connection: {error.strerror or type(error).__name__}") from None
