"""Marionette, the protocol by which Mozilla's own tests drive their programs: JSON over TCP, each message behind its length.

A command is `[0, id, name, parameters]`, its answer `[1, id, error, result]`.
"""
import json
import socket
import time
from pathlib import Path


class Refused(Exception):
    """What the program answered instead of a result."""


class DialogOpen(Refused):
    """A dialog stood in the way. It has been answered with Cancel."""


class Marionette:
    """A session with the program that runs in `profile`, in the context in which the program's own windows are made."""

    def __init__(self, profile: Path, within: float = 60):
        self._socket = socket.create_connection(("127.0.0.1", _port(profile, within)), timeout=180)
        self._stream = self._socket.makefile("rb")
        self._last = 0
        greeting = self._receive()
        assert greeting["marionetteProtocol"] == 3, greeting
        self.about = self.command("WebDriver:NewSession", {"unhandledPromptBehavior": "ignore"})["capabilities"]
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": 120_000})

    def command(self, name: str, parameters: dict):
        """Says `name`, and waits for its answer."""
        self._last += 1
        message = json.dumps([0, self._last, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._last, (number, self._last)
        if error and error["error"] == "unexpected alert open":
            raise DialogOpen(f"a dialog is open: {self._close_dialog()}")
        if error:
            raise Refused(f"{error['error']}: {error['message']}")
        return result

    def run(self, script: str, *arguments):
        """Runs a function's body in the main window; a promise that it returns is waited for, and what it gives is not null."""
        parameters = {"script": script, "args": list(arguments), "sandbox": "system", "newSandbox": False}
        value = self.command("WebDriver:ExecuteScript", parameters)["value"]
        if value is None:
            # A dialog over the window ends the script.
            raise DialogOpen(f"a dialog came up: {self._close_dialog()}")
        return value

    def quit(self):
        """Ends the program as its menu does."""
        self.command("Marionette:Quit", {"flags": ["eAttemptQuit"]})
        self._socket.close()

    def _close_dialog(self) -> str:
        try:
            text = self.command("WebDriver:GetAlertText", {})["value"]
            self.command("WebDriver:DismissAlert", {})
            return text
        except Refused:
            return "it has gone already"

    def _receive(self):
        length = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte:
                raise ConnectionError("the program has hung up")
            length += byte
        return json.loads(self._stream.read(int(length)))


def _port(profile: Path, within: float) -> int:
    """The port that the program took: it writes it into its profile when it listens."""
    until = time.monotonic() + within
    file = profile / "MarionetteActivePort"
    while time.monotonic() < until:
        if file.exists() and (port := file.read_text().strip()):
            return int(port)
        time.sleep(0.1)
    raise TimeoutError(f"no {file} after {within} s: does this Thunderbird know --marionette?")
