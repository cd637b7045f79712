"""Count failed logins, by user and by host, and say who must wait."""

from __future__ import annotations

from collections import OrderedDict, deque

WINDOW_S = 900.0
MOST_OF_A_USER, MOST_OF_A_HOST = 10, 30
_MOST_KEYS = 10_000


class Attempts:
    """Record of failed logins in the last quarter of an hour, by user and by host.

    Example:
        >>> attempts = Attempts()
        >>> for second in range(10):
        ...     attempts.failed("anna", "10.0.0.7", second)
        >>> attempts.wait_s("anna", "10.0.0.8", 100), attempts.wait_s("eva", "10.0.0.7", 100)
        (800.0, 0.0)
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_s(self, user: str, host: str, now: float) -> float:
        """Return for how many seconds passwords for this user, or from this host, are not checked.

        Args:
            user: User name.
            host: Address that the request came from.
            now: Monotonic time, seconds.

        Returns:
            0 if a password may be checked now.
        """
        return max(
            self._wait_s(("user", user), MOST_OF_A_USER, now),
            self._wait_s(("host", host), MOST_OF_A_HOST, now),
        )

    def failed(self, user: str, host: str, now: float) -> None:
        """Record a wrong password for a user from a host.

        Args:
            user: User name.
            host: Address that the request came from.
            now: Monotonic time, seconds.
        """
        for key, most in ((("user", user), MOST_OF_A_USER), (("host", host), MOST_OF_A_HOST)):
            self._failures.setdefault(key, deque(maxlen=most)).append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, user: str) -> None:
        """Forget the failures of a user who has now logged in."""
        self._failures.pop(("user", user), None)

    def _wait_s(self, key: tuple[str, str], most: int, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None or len(failures) < most:
            return 0.0
        return float(max(0.0, failures[0] + WINDOW_S - now))
