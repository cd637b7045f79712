"""Read scans with a bundle: runtime, decision, maps and the pipeline of `read`."""
