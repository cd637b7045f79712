"""A name in, the mix of bleeds that subjects are drawn from out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ichlite.errors import UnknownName

Mix = tuple[tuple[tuple[str, ...], float], ...]

PAPER: Mix = (
    (("subdural",), 0.10),
    (("intraparenchymal",), 0.20),
    (("subarachnoid",), 0.06),
    (("intraparenchymal", "intraventricular"), 0.19),
    (("intraventricular",), 0.02),
    (("subarachnoid", "intraventricular"), 0.04),
    (("subdural", "subarachnoid"), 0.06),
    (("subdural", "intraparenchymal"), 0.03),
    (("intraparenchymal", "subarachnoid"), 0.10),
    (("intraparenchymal", "intraventricular", "subarachnoid"), 0.05),
    (("subdural", "subarachnoid", "intraparenchymal"), 0.115),
    (("epidural",), 0.02),
    (("epidural", "subdural", "subarachnoid"), 0.015),
)
"""Patients with blood, so that slices come out as in Table 1 of the paper, near 1 % epidural.

Fitted to the mean slices a bleed spans in 160 phantoms of 42 slices: epidural 12, parenchymal 7,
ventricular 12, subarachnoid 10, subdural 18.
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
