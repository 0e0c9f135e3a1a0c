"""A mail server on 127.0.0.1 that remembers what it was given, and answers as it is told."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage

CODES = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on", "RSET": "250 ok", "NOOP": "250 ok"}


@dataclass
class MailServer:
    """`answers` are those to a command where it is not as usual; `END` is the one to the mail itself."""

    tls: ssl.SSLContext | None = None
    answers: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    """User, password, and whether it came over TLS."""

    def __enter__(self) -> MailServer:
        handler = type("Handler", (_Handler,), {"place": self})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])


class _Handler(socketserver.StreamRequestHandler):
    place: MailServer
    timeout = 10

    def handle(self) -> None:
        self.secure = False
        self.say("220 here")
        while line := self.rfile.readline():
            verb = line.split()[0].decode().upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            self.answer(verb, line.decode().strip())

    def answer(self, verb: str, line: str) -> None:
        usual = self.place.answers.get(verb) or self.place.answers.get(line.split(":", 1)[-1].split()[0])
        if verb in ("EHLO", "HELO"):
            offers = ["AUTH PLAIN"] if self.secure or self.place.tls is None else []
            offers += ["STARTTLS"] if self.place.tls and not self.secure else []
            self.say(*(f"250-{one}" for one in ["here", *offers]), "250 8BITMIME")
        elif verb == "STARTTLS":
            self.say("220 go on")
            assert self.place.tls is not None
            self.request = self.place.tls.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
            self.secure = True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
            self.place.logins.append((user, password, self.secure))
            self.say(usual or "235 ok")
        elif verb == "DATA" and not usual:
            self.say(CODES[verb])
            self.take()
        else:
            self.say(usual or CODES[verb])

    def take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        answer = self.place.answers.get("END", "250 taken")
        if answer.startswith("250") or answer == "HANGUP":
            mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            self.place.mails.append(mail)
        if answer == "HANGUP":
            self.request.close()
            raise ConnectionError
        self.say(answer)

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()
