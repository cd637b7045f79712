"""The DICOM node: studies arrive over the network, results go back. Light half; not built yet.

Nothing is exported here so far. The package marks the place in the layers (above `write`, beside
the command line) so that the import rules hold from the first line on; see `docs/log.md`.
"""
