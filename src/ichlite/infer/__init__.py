"""Tensor in; calibrated decision out: bundle, runtime, decision, heatmap, pipeline."""
