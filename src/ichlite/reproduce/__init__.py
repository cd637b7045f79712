"""A prepared store in; the paper's tables, figures and claims, measured again, out."""
