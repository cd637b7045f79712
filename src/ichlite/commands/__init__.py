"""One file a command: words in, one call into the library, text or one JSON document out."""
