"""A prepared store in, a trained Keras model out: losses, batches, recipe, fit."""
