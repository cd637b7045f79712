"""Understand what hospitals write: heads, contrast agents, kernels, in the languages they use.

Free text of headers and folders, such as `HEAD^ROUTINE`, `Schädel ohne KM`, `CRANE SANS INJECTION`.
Words are compared in capitals without accents.
"""

from __future__ import annotations

import re
import unicodedata

_HEAD = re.compile(
    r"(?<!FEMORAL )(?<!HUMERAL )(?<!RADIAL )HEAD|BRAIN|SKULL|NEURO|CRANI|CEREB|CEPHAL"
    "|頭|脳|ГОЛОВ|МОЗГ"  # these anywhere: HEADNECK, WHOLEBRAIN; Japanese, Chinese, Russian
    r"|\b(?:KOPF|SCHADEL|SCHAEDEL|HIRN|CCT"  # German
    "|CRANE|TETE|CERVEAU"  # French
    "|CABEZA|CABECA|TESTA|CAPO|ENCEFAL"  # Spanish, Portuguese, Italian
    "|HOOFD|HERSEN|SCHEDEL"  # Dutch
    r"|HUVUD|HODE|HOVED|HJARN|HJERN|SKALLE|PAA\b"  # Swedish, Norwegian, Danish, Finnish
    "|GLOW|CZASZK|MOZG|HLAV|KOPONYA)"  # Polish, Czech, Hungarian
)

_OTHER_PART = re.compile(
    r"CHEST|THORA|LUNG|ABDOM|PELVI|HEART|CARDIA|CORONAR|AORT|LIVER|KIDNEY|RENAL|BREAST|COLON"
    r"|BLADDER|PROSTATE|PANCREA|SPLEEN|SPINE|NECK|KNEE|SHOULDER|ELBOW|WRIST|ANKLE|FEMUR|FEMORAL"
    r"|TIBIA|FIBULA|HUMER|RADIAL|CLAVIC|SCAPUL|STERN|EXTREMIT|SINUS|FACE|FACIAL|JAW|MAXILL|MANDIB"
    r"|ORBIT|TEMPORAL|DENTAL|TOOTH|EAR$|IAC"
    r"|\b(?:HIP|HAND|FOOT|FEET|LEG|ARM|RIBS?|THIGH|CALF|FOREARM|FINGER|TOE|TEETH|PNS"
    r"|BECKEN|KNIE|HALS|HERZ|LEBER|BAUCH|SCHULTER|HUFTE|FUSS|WIRBEL|HWS|BWS|LWS"  # German
    r"|POITRINE|POUMON|BASSIN|GENOU|EPAULE|RACHIS|COU|TORAX|CUELLO|RODILLA|COLUMNA|TORACE"
    r"|ADDOME|BACINO|GINOCCHIO|COLLO|BORST|BUIK|BEKKEN|KLATKA|BRZUCH)\b"
)
_NO_PART = frozenset(
    {"", "UNKNOWN", "UNSPECIFIED", "OTHER", "NONE", "NA", "N/A", "TRAUMA", "POLYTRAUMA", "ROUTINE"}
    | {"WHOLEBODY", "WHOLE BODY", "BODY", "CT", "PATIENT"}
)

_AGENT = (
    r"(?:(?:MEZZO DI |PRODUIT DE |MEIO DE )?[CK]ONTRAST\w*|KM|INJECTION|IV|MDC|M D C|CIV|PDC|CTE"
    r"|CONT|C)\b"
)
_WITHOUT = (
    r"\b(?:PRE|NON|NO|WITHOUT|W ?/ ?O(?:UT)?|WO|OHNE|KEIN|SANS|SIN|SENZA|SEM|ZONDER|BEZ|UTAN|UTEN"
    r"|UDEN)"
)
_VEIN = r"[ -]*(?:I ?V[ -]*)?"
_PLAIN = re.compile(
    rf"{_WITHOUT}{_VEIN}{_AGENT}|\bC-(?!\w)|\bNON[ -]*INJECTE\w*|\bNATIV\w*|\bNCCT\b"
    rf"|{_AGENT}:? *(?:NONE|NO|KEINE?S?|OHNE)\b"
    r"|\bUNENHANCED\b|\bBLANCO\b"
)
_WITH = r"\b(?:POST|WITH|W ?/|MIT|NACH|AVEC|APRES|CON|COM|MET|MED|PO|Z)"
_GIVEN = re.compile(
    rf"{_WITH}{_VEIN}{_AGENT}|\bCECT\b|\bCT[AVP]\b|ANGIO|VENOGRA|PERFUSION|\b(?:C|KM) ?\+"
    rf"|\+ ?{_AGENT}|\bINJECTE\w*|\bW CON\b|造影|増強|增强|КОНТРАСТОМ|КОНТРАСТИР"  # noqa: RUF001
)
_HINTED = re.compile(
    r"[CK]ONTRAST|\bPOST\b|\bCECT\b|\bORAL\b|\bIV\b|\bKM\b|\bMDC\b|INJECT|(\b|MM)C\+?(?![\w-])"
    r"|\bCT[APV]\b|\bENHANCED\b|ANGIO|PERFUSION|VENOUS|VENOGRA|ARTERIAL|DELAYED|\d ?CC\b"
)
_NO_AGENT = frozenset(
    {"", "NONE", "NO", "N", "C-", "-", "0", "WITHOUT", "NIL", "NULL", "NA", "N/A", "UNKNOWN"}
    | {"NOT GIVEN", "NOT APPLICABLE", "NO CONTRAST GIVEN", "0 ML", "0ML"}
    | {"NEIN", "KEIN", "KEINE", "KEINES", "OHNE", "NON", "SANS", "AUCUN", "NO APLICA", "NINGUNO"}
    | {"NESSUNO", "SENZA", "SIN", "SEM", "NENHUM", "GEEN", "ZONDER", "INGEN", "INGET", "BRAK"}
)
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


def names_other_part(text: str) -> bool:
    """Return whether a body part is known to be another one than the head.

    Example:
        >>> [names_other_part(part) for part in ("CHEST", "Knie", "HEADNECK", "", "QUARK")]
        [True, True, False, False, False]
    """
    return not names_head(text) and _OTHER_PART.search(plain_text(text)) is not None


def names_no_part(text: str) -> bool:
    """Return whether a body part is empty or says nothing, such as `UNKNOWN` or `TRAUMA`."""
    return plain_text(text) in _NO_PART


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
