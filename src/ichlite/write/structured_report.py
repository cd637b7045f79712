"""Make a DICOM SR of a result: a measurement report (TID 1500) that archives and viewers read.

A finding for `any` bleed and each subtype: present, absent or undetermined, its probability and
threshold, and, where it is present, the strongest place of the lesion map in the image where it is
most likely. What was not analysed has no probability: it is undetermined, with the reasons.

highdicom is loaded where it is needed: it takes 100 MB.

Source:
    DICOM PS3.16 TID 1500, 1410, 1501, 4019; IHE AI Results.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.valuerep import DT

from ichlite import __version__
from ichlite.errors import MissingExtra
from ichlite.infer.bundle import MODEL_FILE, Bundle
from ichlite.infer.results import Analysed, NotAnalysed, ScanResult, verdict
from ichlite.labels import ANY, ANY_CODE, SUBTYPES, Code
from ichlite.write.dicom_object import MAKER, ascii_text, describe
from ichlite.write.findings import Finding, findings_of
from ichlite.write.result_text import (
    UNANSWERED,
    call_lines,
    finding_line,
    four_decimals,
    reason_lines,
)
from ichlite.write.result_uid import ResultUids, bundle_sha256, derived_uid
from ichlite.write.source_study import SourceImage, SourceStudy
from ichlite.write.triage import DISCLAIMER

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        ObservationContext,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        TextContentItem,
    )

    Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations

SERIES_NUMBER = 9901

LOCAL_SCHEME = "99ICHLITE"
FINDING_CODES = {ANY: ANY_CODE, **{subtype.name: subtype.code for subtype in SUBTYPES}}
PRESENCE_CODES = {
    "present": Code("121053", "DCM", "Present"),
    "absent": Code("121054", "DCM", "Absent"),
    "undetermined": Code("121059", "DCM", "Presence Undetermined"),
}
CALL = Code("CALL", LOCAL_SCHEME, "Triage call")
CALL_CODES = {
    "urgent": Code("URGENT", LOCAL_SCHEME, "Urgent"),
    "not cleared": Code("NOTCLEARED", LOCAL_SCHEME, "Not urgent and not cleared"),
    "not flagged": Code("NOTFLAGGED", LOCAL_SCHEME, "Not flagged, which is no all-clear"),
    "not analysed": Code("NOTANALYSED", LOCAL_SCHEME, "Not analysed, which is not a negative"),
}
_LESION_MAP = Code("LESIONMAP", LOCAL_SCHEME, "Lesion map value at the point, not calibrated")
_PRESENCE = Code("121052", "DCM", "Presence of property")
_PROBABILITY = Code("122157", "DCM", "Probability")
_THRESHOLD = Code("122411", "DCM", "Threshold Value")
_COMMENT = Code("121106", "DCM", "Comment")
_SITE = Code("1101003", "SCT", "Intracranial")
_NO_UNITS = Code("1", "UCUM", "no units")
_AI = Code("123110", "DCM", "Artificial Intelligence")
_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
_LIBRARY = Code("111028", "DCM", "Image Library")
_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
_SOURCE = Code("260753009", "SCT", "Source")
_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

_UNCHECKED = Lock()
"""Held while pydicom checks no values: its setting is the process'."""


def need_highdicom() -> None:
    """Check that highdicom, which makes the structured reports, is installed.

    Raises:
        MissingExtra: highdicom is not installed; it comes with `ichlite[node]`.
    """
    from importlib.util import find_spec

    if find_spec("highdicom") is None:
        raise MissingExtra("node", "highdicom")


def structured_report(
    scans: Sequence[ScanResult],
    source: SourceStudy,
    *,
    bundle: Bundle,
    uids: ResultUids,
    at: datetime,
) -> Dataset:
    """Make a DICOM structured report of a result: a Comprehensive SR by PS3.16 TID 1500.

    Args:
        scans: One scan that was analysed, read with `keep_pixels`; or all series of a study of
            which none was.
        source: Patient, study and images of the result, from `read_source`.
        bundle: Bundle that judged, or would have.
        uids: UIDs of the object and its series, from `result_uids`.
        at: Time at which the result was made.

    Raises:
        MissingExtra: highdicom is not installed; it comes with `ichlite[node]`.
    """
    need_highdicom()
    from highdicom.sr import ComprehensiveSR, MeasurementReport

    # Sources hold UIDs and numbers that are none; they are referred to as they are.
    with _UNCHECKED, config.disable_value_validation():
        groups = _groups(scans, source, bundle, uids)
        evidence = _evidence(source)
        content = MeasurementReport(
            observation_context=_observer(bundle),
            procedure_reported=_coded(_PROCEDURE),
            imaging_measurements=groups,
        )
        # The library stands before the measurements (TID 1500, rows 5 and 6).
        parts = content[0].ContentSequence
        parts.insert(len(parts) - 1, _image_library(evidence))
        parts.append(_evaluations(scans))
        report = ComprehensiveSR(
            evidence=evidence,
            content=content,
            series_instance_uid=uids.report_series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=uids.report,
            instance_number=1,
            manufacturer=MAKER,
            is_complete=all(scan.complete is True for scan in scans),
            content_date=at.date(),
            content_time=at.time(),
            coding_schemes=[_local_scheme()],
            specific_character_set=None,
        )
        for library in report.ContributingEquipmentSequence:  # highdicom names itself, and now
            library.ContributionDateTime = DT(at.strftime("%Y%m%d%H%M%S"))
        describe(
            report,
            source,
            series_uid=uids.report_series,
            instance_uid=uids.report,
            series_number=SERIES_NUMBER,
            at=at,
        )
    return report


def call_of(scan: ScanResult) -> Code:
    """Return the DICOM code, in the scheme 99ICHLITE, of the triage category of a result.

    Example:
        >>> call_of(NotAnalysed(study="1", series="2", files=(), reasons=("a chest",))).value
        'NOTANALYSED'
    """
    if isinstance(scan, NotAnalysed):
        return CALL_CODES["not analysed"]
    if scan.urgent:
        return CALL_CODES["urgent"]
    return CALL_CODES["not flagged" if verdict(scan) == "not flagged" else "not cleared"]


def _groups(
    scans: Sequence[ScanResult], source: SourceStudy, bundle: Bundle, uids: ResultUids
) -> list[Group]:
    first = scans[0]
    algorithm = _algorithm(bundle, first)
    if not isinstance(first, Analysed):
        return [_unanswered(algorithm, uids)]
    images = {(image.file, image.frame): image for image in source.images}
    groups = []
    for finding in findings_of(first, bundle):
        scores = first.slices[finding.slice_index]
        image = images.get((scores.file, scores.frame))
        groups.append(_group(finding, first, image, algorithm, uids))
    return groups


def _group(
    finding: Finding,
    scan: Analysed,
    image: SourceImage | None,
    algorithm: AlgorithmIdentification,
    uids: ResultUids,
) -> Group:
    """Return the measurement group of a finding: with a place (TID 1410), or without (TID 1501)."""
    from highdicom.sr import (
        ImageRegion,
        MeasurementsAndQualitativeEvaluations,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        SourceImageForRegion,
    )

    reached = finding.probability >= finding.threshold
    measurements = [
        _measurement(_PROBABILITY, four_decimals(finding.probability, up=reached)),
        _measurement(_THRESHOLD, four_decimals(finding.threshold, up=True)),
    ]
    said = _about(finding.name, finding.presence, algorithm, uids)
    reference = () if image is None else (image.sop_class_uid, image.instance_uid, _frames(image))
    group: Group
    if finding.point is not None and reference:
        measurements.append(_measurement(_LESION_MAP, round(finding.point.value, 4)))
        group = PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=ImageRegion(
                graphic_type="POINT",
                graphic_data=np.array([[finding.point.column, finding.point.row]]),
                source_image=SourceImageForRegion(*reference),
            ),
            measurements=measurements,
            **said,
        )
    else:
        group = MeasurementsAndQualitativeEvaluations(
            source_images=[SourceImageForMeasurementGroup(*reference)] if reference else None,
            measurements=measurements,
            **said,
        )
    group[0].ContentSequence.append(_text(finding_line(finding, scan)))
    return group


def _unanswered(algorithm: AlgorithmIdentification, uids: ResultUids) -> Group:
    """Return the measurement group of what was not analysed: nothing is known of any bleed."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations

    said = _about(ANY, "undetermined", algorithm, uids)
    group = MeasurementsAndQualitativeEvaluations(**said)
    group[0].ContentSequence.append(_text(UNANSWERED))
    return group


def _about(
    name: str, presence: str, algorithm: AlgorithmIdentification, uids: ResultUids
) -> dict[str, Any]:
    """Return what every group says: what of, where, by whom, and whether it is there."""
    from highdicom.sr import FindingSite, QualitativeEvaluation, TrackingIdentifier

    return {
        "tracking_identifier": TrackingIdentifier(
            uid=derived_uid(uids.report, name), identifier=f"{MAKER} {name}"
        ),
        "finding_type": _coded(FINDING_CODES[name]),
        "finding_sites": [FindingSite(_coded(_SITE))],
        "algorithm_id": algorithm,
        "qualitative_evaluations": [
            QualitativeEvaluation(_coded(_PRESENCE), _coded(PRESENCE_CODES[presence]))
        ],
    }


def _evaluations(scans: Sequence[ScanResult]) -> Dataset:
    """Return the container of the call, the reasons, and what a reader must know."""
    from highdicom.sr import CodeContentItem, ContainerContentItem, ContentSequence

    call = CodeContentItem(_coded(CALL), _coded(call_of(scans[0])), "CONTAINS")
    lines = (DISCLAIMER, *call_lines(scans[0]), *reason_lines(scans))
    container = ContainerContentItem(_coded(_EVALUATIONS), relationship_type="CONTAINS")
    container.ContentSequence = ContentSequence([call, *map(_text, lines)])
    return container


def _algorithm(bundle: Bundle, scan: ScanResult) -> AlgorithmIdentification:
    from highdicom.sr import AlgorithmIdentification

    parameters = (
        f"bundle {bundle.label}",
        f"bundle model SHA-256 {bundle.manifest.files[MODEL_FILE]}",
        f"bundle manifest SHA-256 {bundle_sha256(bundle)}",
        f"operating point {scan.operating_point or bundle.operating_point}",
    )
    return AlgorithmIdentification(
        name=MAKER,
        version=__version__,
        parameters=[*map(ascii_text, parameters)],
        family=_coded(_AI),
        manufacturer=MAKER,
    )


def _observer(bundle: Bundle) -> ObservationContext:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid(MAKER, __version__, bundle_sha256(bundle)),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=ascii_text(bundle.label),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _evidence(source: SourceStudy) -> list[Dataset]:
    """Return the images as highdicom takes them, once for each file of frames.

    Only what tells images apart: their geometry stands in the images themselves.
    """
    datasets: dict[str, Dataset] = {}
    for image in source.images:
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = image.sop_class_uid, image.instance_uid
        one.StudyInstanceUID, one.SeriesInstanceUID = source.study_uid, image.series_uid
        one.Rows, one.Columns = image.rows, image.columns
        one.Modality = ""  # of CT, highdicom wants the geometry, which sources may lack
        if image.frame_of_reference_uid:
            one.FrameOfReferenceUID = image.frame_of_reference_uid
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            setattr(one, keyword, "")  # `describe` says who it is
        for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            setattr(one, keyword, "")
        datasets.setdefault(image.instance_uid, one)
    return list(datasets.values())


def _image_library(images: Sequence[Dataset]) -> Dataset:
    """Return the images of the source, in groups that share size and frame of reference.

    What a group shares is said once (TID 1600), not of each image: a fifth of the time and bytes.
    """
    from highdicom.sr import (
        ContainerContentItem,
        ContentSequence,
        ImageContentItem,
        ImageLibraryEntryDescriptors,
    )

    groups: dict[tuple[object, ...], list[Dataset]] = {}
    for image in images:
        shared = (image.SOPClassUID, image.Rows, image.Columns, image.get("FrameOfReferenceUID"))
        groups.setdefault(shared, []).append(image)
    library = ContainerContentItem(_coded(_LIBRARY), relationship_type="CONTAINS")
    library.ContentSequence = ContentSequence()
    for members in groups.values():
        group = ContainerContentItem(_coded(_LIBRARY_GROUP), relationship_type="CONTAINS")
        group.ContentSequence = ContentSequence(ImageLibraryEntryDescriptors(members[0]))
        for image in members:
            reference = (image.SOPClassUID, image.SOPInstanceUID)
            group.ContentSequence.append(
                ImageContentItem(_coded(_SOURCE), *reference, relationship_type="CONTAINS")
            )
        library.ContentSequence.append(group)
    return library


def _frames(image: SourceImage) -> Sequence[int] | None:
    return None if image.frame is None else [image.frame]


def _measurement(name: Code, value: float) -> Measurement:
    from highdicom.sr import Measurement

    return Measurement(name=_coded(name), value=value, unit=_coded(_NO_UNITS))


def _text(line: str) -> TextContentItem:
    from highdicom.sr import TextContentItem

    return TextContentItem(_coded(_COMMENT), ascii_text(line), "CONTAINS")


def _coded(code: Code) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def _local_scheme() -> Dataset:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        LOCAL_SCHEME, name="ichlite local codes", responsible_organization=MAKER
    )
