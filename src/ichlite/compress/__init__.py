"""Compress trained Keras models and write them as bundles for LiteRT."""
