"""Measure models: metrics, calibration, operating points, intervals and reports."""
