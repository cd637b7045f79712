"""What hospitals write of heads and contrast agents, in the languages they write in."""

from __future__ import annotations

import pytest

from ichlite.ct.wording import hints_at_contrast, is_agent, names_head, says_contrast

WITHOUT = [
    "HEAD WITHOUT CONTRAST", "Kopf ohne KM", "Schädel nativ", "CRANE SANS INJECTION",
    "Cerveau non injecté", "Crâne sans produit de contraste", "CRANEO SIN CONTRASTE",
    "Cabeza sin CIV", "TESTA SENZA MDC", "Encefalo senza mezzo di contrasto",
    "Crânio sem contraste", "Hoofd zonder contrast", "Głowa bez kontrastu", "Huvud utan kontrast",
    "Hode uten kontrast", "Hoved uden kontrast", "HEAD W/O", "HEAD W/O IV CONTRAST", "Head C-",
    "HEAD NON-CONTRAST", "BRAIN PRE CONTRAST",
]  # fmt: skip
WITH = [
    "HEAD WITH CONTRAST", "Kopf mit KM", "Schädel nach KM", "CRANE AVEC INJECTION",
    "Cerveau injecté", "CRANEO CON CONTRASTE", "TESTA CON MDC", "Crânio com contraste",
    "Hoofd met contrast", "Głowa z kontrastem", "Huvud med kontrast", "BRAIN POST CONTRAST",
    "HEAD W/ CONTRAST", "HEAD C+", "HEAD CECT", "HEAD CTA", "CT-Angio Kopf", "BRAIN PERFUSION",
]  # fmt: skip
HEADS = ["HEAD", "HEAD^ROUTINE", "HEADNECK", "Kopf", "SCHAEDEL KOPF", "CCT", "TETE", "CEREBRAL"]
OTHERS = ["CHEST", "ABDOMEN", "THORAX", "NECK", "LSPINE", "KNEE", "METHODE", "PELVIS", "HALS"]


@pytest.mark.parametrize("text", WITHOUT)
def test_a_plain_scan_is_known_in_every_language(text: str) -> None:
    assert names_head(text)
    assert not says_contrast(text)
    assert not hints_at_contrast(text)


@pytest.mark.parametrize("text", WITH)
def test_a_contrast_scan_is_known_in_every_language(text: str) -> None:
    assert names_head(text)
    assert says_contrast(text)
    assert hints_at_contrast(text)


@pytest.mark.parametrize("text", HEADS)
def test_a_head_is_one(text: str) -> None:
    assert names_head(text)
    assert names_head(text.lower())


@pytest.mark.parametrize("text", OTHERS)
def test_another_part_is_none(text: str) -> None:
    assert not names_head(text)


def test_what_is_no_agent() -> None:
    nothing = ["", "none", "NO", "ohne", "ohne KM", "sans injection", "sin contraste", "native"]
    assert not any(map(is_agent, nothing))
    assert all(map(is_agent, ["OMNIPAQUE 350", "Iomeron", "CONTRAST", "KM", "APPLIED"]))


@pytest.mark.parametrize("text", ["HEAD POST OP", "BRAIN 5.0 H31s", "Routine IV Ventricle"])
def test_what_only_hints_refuses_no_scan(text: str) -> None:
    assert not says_contrast(text)
