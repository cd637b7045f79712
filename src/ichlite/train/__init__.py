"""Train models on prepared stores: recipe, batches, losses and the training loop."""
