"""Documents that cross between stages as JSON: their types, and the one codec that reads them."""
