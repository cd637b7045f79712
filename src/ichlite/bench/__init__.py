"""Measure what models and scans cost: parameters, FLOPs, bytes and milliseconds."""
