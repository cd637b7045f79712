"""Work and the address of a Ray cluster in, the same work done on many machines out."""
