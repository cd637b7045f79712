"""Understand what hospitals write: heads, contrast agents, kernels, in the languages they use.

Free text of headers and folders, such as `HEAD^ROUTINE`, `Schädel ohne KM`, `CRANE SANS INJECTION`.
Words are compared in capitals without accents.
"""

from __future__ import annotations

import re
import unicodedata

_HEAD = re.compile(
    "HEAD|BRAIN|SKULL|NEURO|CRANI|CEREB|ENCEPH"  # anywhere: HEADNECK, WHOLEBRAIN
    r"|\b(?:KOPF|SCHADEL|HIRN|CCT"  # German
    "|CRANE|TETE|CERVEAU"  # French
    "|CABEZA|CABECA|TESTA|CAPO|ENCEFAL"  # Spanish, Portuguese, Italian
    "|HOOFD|HERSEN|SCHEDEL"  # Dutch
    "|HUVUD|HODE|HOVED|HJARN|HJERN|SKALLE"  # Swedish, Norwegian, Danish
    "|GLOW|CZASZK|MOZG)"  # Polish
)

_AGENT = (
    r"(?:(?:MEZZO DI |PRODUIT DE |MEIO DE )?[CK]ONTRAST\w*|KM|INJECTION|IV|MDC|M D C|CIV|PDC|CTE"
    r"|CONT|C)\b"
)
_WITHOUT = r"\b(?:PRE|NON|NO|WITHOUT|W ?/ ?O|WO|OHNE|SANS|SIN|SENZA|SEM|ZONDER|BEZ|UTAN|UTEN|UDEN)"
_PLAIN = re.compile(
    rf"{_WITHOUT}[ -]*(?:IV[ -]*)?{_AGENT}|\bC-(?!\w)|\bNON[ -]*INJECTE\w*|\bNATIV\w*|\bNCCT\b"
    r"|\bUNENHANCED\b|\bBLANCO\b"
)
_WITH = r"\b(?:POST|WITH|W ?/|MIT|NACH|AVEC|APRES|CON|COM|MET|MED|PO|Z)"
_GIVEN = re.compile(
    rf"{_WITH}[ -]*(?:IV[ -]*)?{_AGENT}|\bCECT\b|\bCTA\b|ANGIO|PERFUSION|\bC\+|\bINJECTE\w*"
)
_HINTED = re.compile(
    r"[CK]ONTRAST|\bPOST\b|\bCECT\b|\bORAL\b|\bIV\b|\bKM\b|\bMDC\b|INJECT|(\b|MM)C\+?(?![\w-])"
    r"|\bCTA\b|ANGIO|PERFUSION|VENOUS|ARTERIAL|DELAYED|\d ?CC\b"
)
_NO_AGENT = frozenset({"", "NONE", "NO", "N", "C-", "-", "0", "WITHOUT", "NEIN", "NON", "OHNE"})
_SHARP = re.compile(
    r"BONE|SHARP|HRCT|HI[ -]?RES|\bEDGE\b|\bLUNG\b|DETAIL|\bPNS\b|ORBIT"
    r"|KNOCHEN|\bOSSEU[XS]|\bOSEO|\bOSSO|\bHUESO|\bBOT\b|KOSTN|KOSC"
)
_DERIVED = re.compile(
    r"\b3D\b|MPR\b|\bMIP\b|\bMINIP\b|\bVRT?\b|\bSSD\b|\bSAG|\b[CK]OR(ONAL)?\b|SCOUT|TOPOGRAM"
    r"|LOCALI[SZ]ER|SURVIEW|\bDOSE\b|\bDE\b"
)


def plain_text(text: str) -> str:
    """Normalise text for comparison: capitals without accents, blanks for `^`, `_` and dots.

    Example:
        >>> plain_text("Schädel^nativ")
        'SCHADEL NATIV'
    """
    parts = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ł", "l"))
    letters = "".join(one for one in parts if not unicodedata.combining(one)).upper()
    return re.sub(r"[\^_.\s]+", " ", letters.replace("Ł", "L").replace("Ø", "O")).strip()


def names_head(text: str) -> bool:
    """Return whether a body part or description names the head, in one of several languages.

    Example:
        >>> [names_head(part) for part in ("HEAD^ROUTINE", "Crâne", "CHEST", "THORAX")]
        [True, True, False, False]
    """
    return _HEAD.search(plain_text(text)) is not None


def says_contrast(text: str) -> bool:
    """Return whether a description says plainly that a contrast agent was given.

    Example:
        >>> says = ("Kopf mit KM", "Schädel ohne KM", "CRANE SANS INJECTION", "HEAD C+", "POST OP")
        >>> [says_contrast(one) for one in says]
        [True, False, False, True, False]
    """
    return _GIVEN.search(_PLAIN.sub(" ", plain_text(text))) is not None


def hints_at_contrast(text: str) -> bool:
    """Return whether the name of a series makes it likely that a contrast agent was given.

    Wider than `says_contrast`: good for choosing among several series, not for refusing one.

    Example:
        >>> names = ("CT POST CONTRAST-2", "CT C", "CT PRE CONTRAST THIN", "CT 5mm")
        >>> [hints_at_contrast(name) for name in names]
        [True, True, False, False]
    """
    without_copy_number = re.sub(r"-\d+$", "", plain_text(text))
    return _HINTED.search(_PLAIN.sub(" ", without_copy_number)) is not None


def is_agent(text: str) -> bool:
    """Return whether a value of ContrastBolusAgent names an agent; False for `none` and the like.

    Example:
        >>> [is_agent(one) for one in ("OMNIPAQUE 350", "none", "ohne KM", "", "C-")]
        [True, False, False, False, False]
    """
    plain = plain_text(text)
    return plain not in _NO_AGENT and bool(_PLAIN.sub("", plain).strip(" -"))


def hints_at_sharp_kernel(text: str) -> bool:
    """Return whether the name of a series suggests a bone or another sharp kernel."""
    return _SHARP.search(plain_text(text)) is not None


def hints_at_derived(text: str) -> bool:
    """Return whether the name of a series suggests derived images (3D, MPR, MIP) or a scout."""
    return _DERIVED.search(plain_text(text)) is not None
