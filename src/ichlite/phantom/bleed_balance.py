"""The named mixes of bleeds that subjects are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ichlite.errors import UnknownName

Mix = tuple[tuple[tuple[str, ...], float], ...]

PAPER: Mix = (
    (("subdural",), 0.031),
    (("intraparenchymal",), 0.139),
    (("subarachnoid",), 0.028),
    (("intraparenchymal", "intraventricular"), 0.274),
    (("intraventricular",), 0.013),
    (("subarachnoid", "intraventricular"), 0.022),
    (("subdural", "subarachnoid"), 0.033),
    (("subdural", "intraparenchymal"), 0.027),
    (("intraparenchymal", "subarachnoid"), 0.121),
    (("intraparenchymal", "intraventricular", "subarachnoid"), 0.051),
    (("subdural", "subarachnoid", "intraparenchymal"), 0.22),
    (("epidural",), 0.019),
    (("epidural", "subdural", "subarachnoid"), 0.022),
)
"""Patients with blood, so that slices come out as in Table 1 of the paper.

Fitted to the mean slices that each combination showed in 20 phantoms of it; the fit expects any
34.6 %, epidural 1.0, parenchymal 10.8, ventricular 8.2, subarachnoid 11.1, subdural 14.6.
"""

TRAINING: Mix = (
    ((), 0.26),
    (("subdural",), 0.14),
    (("intraparenchymal",), 0.14),
    (("subarachnoid",), 0.11),
    (("intraparenchymal", "intraventricular"), 0.07),
    (("intraventricular",), 0.04),
    (("subarachnoid", "intraventricular"), 0.03),
    (("subdural", "subarachnoid"), 0.035),
    (("intraparenchymal", "subarachnoid"), 0.025),
    (("subdural", "subarachnoid", "intraparenchymal"), 0.03),
    (("epidural",), 0.10),
    (("epidural", "subdural", "subarachnoid"), 0.02),
)
"""Patients for training: a quarter without blood, seven slices in ten without, more epidurals."""

BALANCES: Mapping[str, Mix] = MappingProxyType({"paper": PAPER, "training": TRAINING})


def mix_named(name: str) -> Mix:
    """Return a subtype mix by name.

    Raises:
        UnknownName: There is no such mix.

    Example:
        >>> len(mix_named("paper"))
        13
    """
    if name not in BALANCES:
        raise UnknownName("balance", name, sorted(BALANCES))
    return BALANCES[name]
