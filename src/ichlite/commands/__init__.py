"""The subcommands of `ichlite`, one a file: each calls the library and prints the result."""
