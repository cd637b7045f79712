"""Hash passwords, and check them in the same time whether the user exists or not."""

from __future__ import annotations

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from ichlite.errors import UsageError

SHORTEST, LONGEST = 8, 200
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""19 MiB, twice: what OWASP's password storage cheat sheet asks for, and a small machine can do."""


def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, to be stored.

    Args:
        password: Password of `SHORTEST` to `LONGEST` characters.

    Raises:
        UsageError: The password is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(
            "this password cannot be used",
            found=f"{len(password)} characters",
            expected=f"{SHORTEST} to {LONGEST}",
        )
    return _HASHER.hash(password)


def fits(password: str, kept: str | None) -> bool:
    """Return whether a password matches a stored hash, in the same time if there is no hash.

    Args:
        password: Password to check.
        kept: Stored hash; None if the user does not exist.
    """
    try:
        right = _HASHER.verify(kept or _of_nobody(), password[: LONGEST + 1])
    except (Argon2Error, InvalidHashError):
        return False
    return right and kept is not None


@cache
def _of_nobody() -> str:
    return _HASHER.hash(secrets.token_hex())
