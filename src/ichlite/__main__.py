"""`python -m ichlite`: the same words and exit codes as the `ichlite` command."""

from ichlite.cli import main

if __name__ == "__main__":
    main()
