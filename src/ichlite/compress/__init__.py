"""A trained Keras model in, a bundle for LiteRT out."""
