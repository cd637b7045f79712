"""Images of any origin in, one prepared store out."""
