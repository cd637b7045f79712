"""Documents that cross between stages as JSON: their types, and the one codec that reads them."""

VERSION = "0.1.0"
"""Of ichlite; every document says it."""
