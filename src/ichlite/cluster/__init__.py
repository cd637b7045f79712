"""Prepare, train and score on the machines of a Ray cluster."""
