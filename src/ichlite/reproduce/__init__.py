"""Reproduce the paper: its tables, figures and claims, measured again."""
