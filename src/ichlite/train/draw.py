"""Choose the training images of each step: shares of stores and of bleeding slices, in passes.

Images are dealt from groups. Within a group each pass takes every image once, in an order that
depends on the seed alone; so the images of a step follow from its number, and a resumed run goes on
with those it would have had.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import StoreError, UsageError

_ORDER = 1


def check_shares(shares: tuple[float, ...] | None, stores: int) -> None:
    """Check that there is one share for each store, or none at all.

    Args:
        shares: Share of each store in a batch; None where stores are not distinguished.
        stores: Number of stores.

    Raises:
        UsageError: There are more or fewer shares than stores.
    """
    if shares is not None and len(shares) != stores:
        raise UsageError(
            "each store needs a share of its own",
            found=f"{len(shares)} shares",
            expected=f"{stores}, in the order of the stores",
        )


class Draw:
    """Random order in which training images are used, with fixed shares of stores and bleeds.

    Args:
        origin: (image,) number of the store that each training image is from.
        bleeding: (image,) bool, whether the image shows a bleed.
        count: Images in a step.
        shares: Share of each store in a step; None: stores are not distinguished.
        bleeding_share: Share of bleeding images among those of each store; None: as they occur.
        seed: Random seed of the order.

    Raises:
        UsageError: There is not one share for each store, or a share is too small for one image a
            step.
        StoreError: A group has no image.

    Example:
        >>> draw = Draw(np.array([0, 0, 0, 1]), np.zeros(4, bool), 2, shares=(0.5, 0.5))
        >>> [int(draw.images(step)[1]) for step in range(3)]
        [3, 3, 3]
    """

    def __init__(
        self,
        origin: NDArray[np.int64],
        bleeding: NDArray[np.bool_],
        count: int,
        *,
        shares: tuple[float, ...] | None = None,
        bleeding_share: float | None = None,
        seed: int = 0,
    ) -> None:
        self.seed = seed
        if shares is None:
            stores, parts = [np.ones(len(origin), bool)], [count]
        else:
            found = int(origin.max()) + 1
            check_shares(shares, found)
            stores, parts = [origin == store for store in range(found)], dealt(count, shares)
        self.groups: list[tuple[NDArray[np.int64], int]] = []
        for store, part in zip(stores, parts, strict=True):
            if bleeding_share is None:
                self._add(np.flatnonzero(store), part, "image")
                continue
            with_bleed, without = dealt(part, (bleeding_share, 1 - bleeding_share))
            self._add(np.flatnonzero(store & bleeding), with_bleed, "bleeding image")
            self._add(np.flatnonzero(store & ~bleeding), without, "image without a bleed")
        self._order = lru_cache(maxsize=2 * len(self.groups))(self._shuffled)

    def _add(self, members: NDArray[np.int64], part: int, what: str) -> None:
        if part == 0:
            raise UsageError(
                f"the shares leave a store without one {what} a step",
                remedy="raise the share or --batch-size",
            )
        if len(members) == 0:
            raise StoreError(
                f"the training split of a store has no {what} to give a share of",
                remedy="leave its share out, or make a larger store",
            )
        self.groups.append((members, part))

    def images(self, step: int) -> NDArray[np.int64]:
        """Return the indices of the training images of a step, ascending.

        Args:
            step: Number of the step, from 0.
        """
        taken = [
            self._taken(group, step, members, part)
            for group, (members, part) in enumerate(self.groups)
        ]
        # Ascending, because rows of a file are read faster in its order.
        return np.sort(np.concatenate(taken))

    def _taken(
        self, group: int, step: int, members: NDArray[np.int64], part: int
    ) -> NDArray[np.int64]:
        places = np.arange(step * part, (step + 1) * part)
        passes = places // len(members)
        return np.concatenate(
            [
                members[self._order(group, int(p))[places[passes == p] % len(members)]]
                for p in np.unique(passes)
            ]
        )

    def _shuffled(self, group: int, passes: int) -> NDArray[np.int64]:
        words = [self.seed, _ORDER, passes] + ([group] if group else [])
        return np.random.default_rng(words).permutation(len(self.groups[group][0]))


def dealt(count: int, shares: tuple[float, ...]) -> list[int]:
    """Divide a count into whole parts in proportion to shares, by the largest-remainder method.

    Args:
        count: Number to divide.
        shares: Positive numbers; they need not sum to 1.

    Example:
        >>> dealt(32, (0.4, 0.6)), dealt(3, (1.0, 1.0))
        ([13, 19], [2, 1])
    """
    exact = np.array(shares) / sum(shares) * count
    parts = np.floor(exact + 1e-9).astype(int)
    for place in np.argsort(parts - exact, kind="stable")[: count - parts.sum()]:
        parts[place] += 1
    return [int(part) for part in parts]
