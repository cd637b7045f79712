"""A data set's folder in its own layout in; its `Index`, images with labels and findings, out."""
