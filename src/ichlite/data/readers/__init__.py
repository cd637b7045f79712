"""Read the published layouts of data sets into one `Index` of labelled images."""
