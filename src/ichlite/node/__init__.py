"""The node: receive studies over DICOM and HTTP, read them, show and send back the results.

The road of an instance: `dicom_server`, `stow`, `watched_folders` or the page's upload → `intake`
(checked, on disk, in the database, then acknowledged) → `studies` (waits until it is complete,
queued) → `worker` (a child process reads it) → `outbox` (sent to peers) and `web` (shown).
"""
