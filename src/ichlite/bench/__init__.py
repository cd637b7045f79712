"""A model or a study in; what it costs, in parameters, FLOPs and milliseconds, out."""
