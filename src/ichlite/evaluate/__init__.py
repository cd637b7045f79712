"""Labels and scores in, metrics, calibration, operating points and tables out."""
