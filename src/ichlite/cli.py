"""The entry point of the `ichlite` command: one-line errors and exit codes.

Exit codes: 0 done; 1 the work failed, for an input that cannot be read or a place that cannot be
written, said which and why; 2 wrong usage; 130 interrupted. SIGTERM ends the work like an
interrupt, and then the process, by that signal. Everything but `os` and `sys` is imported inside
`main`, so that an interrupt during imports, too, ends in one line.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import TextIO

INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process, which always ends in SystemExit."""
    termination = _Termination()
    try:
        _open_closed_streams()
        with termination:
            code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED or termination.asked:  # Typer, too, turns an interrupt into that code
        _end_at_the_next()
        _say("terminated" if termination.asked else "interrupted")
    if termination.asked:
        termination.end()
    sys.exit(code)


def _end_at_the_next() -> None:
    """Leave a further Ctrl-C to the system, which says nothing: the work is tidied up by now."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run() -> int | str | None:
    from contextlib import suppress
    from typing import cast

    import typer

    from ichlite import app
    from ichlite.commands.help_panels import WRONG_CALL, wrong_call_words
    from ichlite.errors import IchliteError, UsageError

    stdout = sys.stdout
    watched = _Watched(stdout)
    sys.stdout = cast("TextIO", watched)
    code: int | str | None = 0
    try:
        code = app.app(prog_name="ichlite", standalone_mode=False)
        watched.flush()
    except IchliteError as error:
        _say(f"error: {error}")
        code = error.exit_code
    except WRONG_CALL as error:
        said = wrong_call_words(error)
        if said is None:
            sys.stderr.write(f"{error}\n")
        else:
            _say(f"error: {said}")
        code = UsageError.exit_code
    except typer.Abort:  # at a prompt
        code = INTERRUPTED
    except OSError as error:
        if watched.fault is None:
            _say(f"error: {_words(error)}")
            code = 1
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.stdout = stdout
    with suppress(OSError):
        watched.flush()
    if watched.fault is None:
        return code
    if not isinstance(watched.fault, BrokenPipeError):
        _say(f"error: stdout cannot be written: {watched.fault.strerror}")
    # When the reader of our output (head, less) has gone, nothing is wrong with the work.
    _discard_stdout()
    return code or 1


def _words(error: OSError) -> str:
    """Return what a fault that nobody translated says and of which file, in one line."""
    from ichlite.atomic_files import remedy_of
    from ichlite.errors import IchliteError

    said = error.strerror or str(error) or type(error).__name__
    place = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return str(IchliteError(said + place, remedy=remedy_of(error)))


class _Termination:
    """Context in which SIGTERM is raised as an interrupt, so that what was begun is tidied up."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Termination:
        import signal
        import threading

        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        import signal

        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def end(self) -> None:
        """End the process by SIGTERM, now by the system's own handler."""
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        raise KeyboardInterrupt


class _Watched:
    """A stdout that remembers why it took no more, to tell that from faults of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.fault = error
            raise


def _discard_stdout() -> None:
    """Let what waits for stdout go nowhere; else Python complains about it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Write to nowhere where the caller closed a stream (`>&-`), for which Python has None."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _say(line: str) -> None:
    from ichlite.commands.console import say

    say(line)
