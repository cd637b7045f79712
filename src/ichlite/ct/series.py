"""Find CT series under paths, sorted and checked; other files are listed with a reason."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, compress
from operator import not_

from ichlite.ct.archives import is_member, list_members
from ichlite.ct.concatenation import missing_parts
from ichlite.ct.elements import open_data
from ichlite.ct.header import NOT_DICOM, ZIP, Refusal, is_localizer, read_headers
from ichlite.ct.stack import stack_slices
from ichlite.errors import InputError, SeriesError, UnreadableFile
from ichlite.records import Series, SkippedFile, SliceHeader

_NUMBER = re.compile("[0-9]+")
_SCOUT = "a localizer (scout) among the slices of a series"
_NO_PLACE = (
    "its place in the scan is not known; expected ImagePositionPatient and ImageOrientationPatient"
)


def find_series(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[tuple[Series, ...], tuple[SkippedFile, ...]]:
    """Find the CT series in files and folders, and the files that are in none.

    Reads headers only, each file once. The result does not depend on file names, their order or
    their folders. Every file is in exactly one series or in one `SkippedFile`.

    Args:
        paths: Files of any name, zip archives and members of them; folders are searched to any
            depth, links to folders not followed.

    Returns:
        The series by StudyInstanceUID and SeriesInstanceUID, slices feet to head; the skipped files
        by path.

    Raises:
        InputError: A path does not exist, or cannot be looked at.
        SeriesError: No files at all.
    """
    files, unread = files_below(paths)
    if not files and not unread:
        raise SeriesError("there are no files to read", expected="at least one DICOM file")
    by_series: dict[str, list[SliceHeader]] = defaultdict(list)
    lost: dict[str, list[SkippedFile]] = defaultdict(list)
    skipped = unread
    unknown: list[Refusal] = []
    for outcome in chain.from_iterable(map(read_images, files)):
        if isinstance(outcome, Refusal):
            skipped.append(
                SkippedFile(outcome.path, outcome.reason, outcome.may_be_ct, outcome.frame)
            )
            if outcome.lost_from_series is not None:
                lost[outcome.lost_from_series].append(skipped[-1])
            elif outcome.may_be_ct or outcome.code == NOT_DICOM:
                unknown.append(outcome)
        else:
            by_series[outcome.series_uid].append(outcome)
    found: list[Series] = []
    for uid, headers in by_series.items():
        single, copies, differing = _without_copies(headers)
        slices, scouts = _parted(single, lambda one: not is_localizer(one), _SCOUT)
        placed, unplaced = _parted(slices, _has_place, _NO_PLACE, may_be_ct=True)
        skipped += copies + scouts + unplaced
        missing = missing_parts(single)
        repeats = [] if _copied_whole(headers) else _repeated(copies)
        losses = _losses([*lost[uid], *unplaced])
        defects = [*losses, *missing, *differing, *repeats, *_unread_beside(headers, unknown)]
        found.append(stack_slices(placed, content_hash, defects))
    found.sort(key=lambda one: (one.study_uid, one.series_uid))
    return tuple(found), tuple(sorted(_merged(skipped), key=lambda one: (one.file, one.reason)))


def read_images(path: str) -> Iterator[SliceHeader | Refusal]:
    """Read the header of each CT slice in a file, or in the members of a zip archive.

    Args:
        path: File of any name, or member of a zip archive.

    Yields:
        A header for each CT slice; a `Refusal` that says why for each other file or frame.
    """
    found = read_headers(path)
    if not isinstance(found[0], Refusal) or found[0].code != ZIP:
        yield from found
        return
    try:
        for member, fault in list_members(path):
            if fault is None:
                yield from read_headers(member)
            else:
                yield Refusal(member, fault, unopened=True)
    except UnreadableFile as error:
        yield Refusal(path, str(error), unopened=True)
    except OSError as error:
        yield Refusal(path, f"cannot be opened or read: {error.strerror}", unopened=True)


def content_hash(header: SliceHeader) -> str:
    """Return the SHA-256 (hexadecimal) of a slice's header values and stored pixels.

    Copies of a slice have one hash, whatever their path. The file is read; where that fails, the
    header values alone are hashed.

    Args:
        header: Header of the slice.
    """
    layout = header.layout
    fields = repr(replace(header, path="", layout=replace(layout, offset=0, end=None)))
    digest = hashlib.sha256(fields.encode())
    length = layout.length or 8 * header.rows * header.columns
    if layout.end is not None:
        length = min(length, layout.end - layout.offset)
    with (
        suppress(OSError, UnreadableFile),
        open_data(header.path, layout.transfer_syntax_uid) as file,
    ):
        file.seek(layout.offset)
        digest.update(file.read(length))
    return digest.hexdigest()


def files_below(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
) -> tuple[list[str], list[SkippedFile]]:
    """List the files at and below paths, each file once.

    Args:
        paths: One file or folder, or several; folders are searched to any depth, links to folders
            are not followed.

    Returns:
        Two lists: the paths of the files, sorted; and what was not listed, with reasons: second
        names of a file or folder, links to folders, and what cannot be opened.

    Raises:
        InputError: A path does not exist, or cannot be looked at.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    names: dict[str, str] = {}
    listed: dict[str, str] = {}
    skipped: list[SkippedFile] = []
    for path in sorted({os.fspath(one) for one in given}):
        if _is_folder(path):
            _list_folder(path, names, listed, skipped)
        else:
            _add_file(path, os.path.realpath(path), names, skipped)
    return sorted(names.values()), skipped


def _is_folder(path: str) -> bool:
    """Return whether a path that the caller gave is a folder.

    Raises:
        InputError: It is not there.
    """
    try:
        os.lstat(path)
        with suppress(FileNotFoundError):  # a dangling link is listed, then skipped
            return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116  as given, not tidied
    except (FileNotFoundError, NotADirectoryError):
        if not is_member(path):
            raise InputError(f"{path} does not exist", expected="a file or folder") from None
    except OSError as error:
        raise InputError(f"file or folder cannot be opened: {error.strerror}: {path}") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"{path} is not a file name", expected="a file or folder") from None
    return False


def _list_folder(
    path: str, names: dict[str, str], listed: dict[str, str], skipped: list[SkippedFile]
) -> None:
    """Add every file below a folder; links to folders are named, not followed (they may loop).

    Args:
        path: Folder.
        names: Of the files so far, by their real path.
        listed: Of the folders so far, by theirs: one that has two names is listed once.
        skipped: What is no file.
    """
    try:
        folders = [(path, os.path.realpath(path))]
    except OSError as error:
        skipped.append(_unopened(path, f"folder cannot be opened: {error.strerror}"))
        return
    while folders:
        folder, real_folder = folders.pop()
        first = listed.setdefault(real_folder, folder)
        if os.path.normpath(first) != os.path.normpath(folder):
            skipped.append(SkippedFile(folder, f"the same folder as {first}"))
        if first is not folder:
            continue
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(_unopened(folder, f"folder cannot be opened: {error.strerror}"))
            continue
        for entry in entries:
            name = os.path.join(folder, entry.name)  # noqa: PTH118  as text: 10 times faster
            real = os.path.join(real_folder, entry.name)  # noqa: PTH118
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((name, real))
                elif not entry.is_symlink():
                    _add_file(name, real, names, skipped)
                elif entry.is_dir():
                    skipped.append(_unopened(name, "a link to a folder, which is not followed"))
                else:
                    _add_file(name, os.path.realpath(name), names, skipped)
            except OSError as error:  # gone since it was listed, or forbidden
                skipped.append(_unopened(name, f"cannot be opened or read: {error.strerror}"))


def _unopened(path: str, reason: str) -> SkippedFile:
    """Return what was not looked into, and may hold slices for all that is known."""
    return SkippedFile(path, reason, may_be_ct=True)


def _add_file(name: str, real: str, names: dict[str, str], skipped: list[SkippedFile]) -> None:
    first = names.setdefault(real, name)
    if first != name and os.path.normpath(first) != os.path.normpath(name):
        skipped.append(SkippedFile(name, f"the same file as {first}"))


def _without_copies(
    headers: list[SliceHeader],
) -> tuple[list[SliceHeader], list[SkippedFile], list[str]]:
    """Part identical copies from the slices, and describe images that differ under one UID."""
    by_instance: dict[tuple[str, int], list[SliceHeader]] = defaultdict(list)
    for header in headers:
        by_instance[header.instance_uid, header.frame_number or 0].append(header)
    kept: list[SliceHeader] = []
    copies: list[SkippedFile] = []
    differing = 0
    for same_uid in by_instance.values():
        by_content: dict[str, SliceHeader] = {}
        for header in sorted(same_uid, key=lambda one: one.path) if len(same_uid) > 1 else same_uid:
            content = content_hash(header) if len(same_uid) > 1 else ""
            first = by_content.setdefault(content, header)
            if first is not header:
                copies.append(
                    SkippedFile(header.path, f"a copy of {first.path}", frame=header.frame_number)
                )
        kept += by_content.values()
        differing += len(by_content) > 1
    several = f"{differing} SOPInstanceUIDs stand" if differing > 1 else "1 SOPInstanceUID stands"
    defects = [f"{several} for different images, and all are judged"] if differing else []
    return kept, copies, defects


def _parted(
    headers: list[SliceHeader],
    stays: Callable[[SliceHeader], bool],
    reason: str,
    *,
    may_be_ct: bool = False,
) -> tuple[list[SliceHeader], list[SkippedFile]]:
    """Part the slices that stay from the others, which have a reason; all stay if none would."""
    keep = [stays(header) for header in headers]
    if not any(keep):
        return headers, []
    others = compress(headers, map(not_, keep))
    parted = [SkippedFile(one.path, reason, may_be_ct, one.frame_number) for one in others]
    return list(compress(headers, keep)), parted


def _has_place(header: SliceHeader) -> bool:
    return bool(header.image_position_mm and header.image_orientation)


def _losses(lost: list[SkippedFile]) -> list[str]:
    if not lost:
        return []
    what = "files" if all(one.frame is None for one in lost) else "slices"
    first = min(one.reason for one in lost)
    return [f"{len(lost)} of its {what} cannot be used, so slices are missing: {first}"]


def _merged(skipped: list[SkippedFile]) -> list[SkippedFile]:
    """Say once of a file what is true of several of its frames."""
    alike: dict[tuple[str, str, bool], list[SkippedFile]] = defaultdict(list)
    for one in skipped:
        alike[one.file, one.reason, one.may_be_ct].append(one)
    merged: list[SkippedFile] = []
    for (file, reason, may_be_ct), those in alike.items():
        if len(those) == 1 or those[0].frame is None:
            merged += those
        else:
            several = f"{len(those)} frames, from frame {those[0].frame} on: {reason}"
            merged.append(SkippedFile(file, several, may_be_ct))
    return merged


def _unread_beside(headers: list[SliceHeader], unknown: list[Refusal]) -> list[str]:
    """Describe files of an unknown series that cannot be read, and are named as slices of this one.

    Args:
        headers: Slices of the series.
        unknown: Files that may be CT and do not say of which series, and files that are not DICOM.
    """
    if not unknown:
        return []
    forms = Counter(_name_form(one.path) for one in headers)
    if len(forms) > len(headers) / 2:  # names that are random, of which the end is alike
        forms = Counter(_name_end(one) for one in forms)
        unknown = [one for one in unknown if one.may_be_ct]
        reasons = [one.reason for one in unknown if _name_end(_name_form(one.path)) in forms]
    else:
        reasons = [one.reason for one in unknown if _name_form(one.path) in forms]
    if not reasons:
        return []
    files = "1 file" if len(reasons) == 1 else f"{len(reasons)} files"
    return [f"{files} named as its slices are cannot be read; found {reasons[0]}"]


def _name_form(path: str) -> str:
    """Return the path of a file with one digit in the place of each number."""
    folder, name = os.path.split(path)  # as text: a Path of each file would cost more
    return f"{folder}/{_NUMBER.sub('0', name)}"


def _name_end(path: str) -> str:
    """Return folder and extension of a file."""
    folder, name = os.path.split(path)
    return f"{folder}/{os.path.splitext(name)[1].lower()}"  # noqa: PTH122


def _copied_whole(headers: list[SliceHeader]) -> bool:
    """Return whether every slice of a series is there equally often, as in a second copy of it."""
    counts = Counter((one.instance_uid, one.frame_number) for one in headers)
    return len(set(counts.values())) == 1


def _repeated(copies: list[SkippedFile]) -> list[str]:
    """Describe, in a line, slices that came twice: a copy may stand where another slice should."""
    if not copies:
        return []
    were = "1 copy of a slice was" if len(copies) == 1 else f"{len(copies)} copies of slices were"
    return [f"{were} left out; a slice that came twice may have taken the place of another"]
