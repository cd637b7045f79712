"""Results in; text out: JSON, CSV, HTML and the terminal's triage list, one file each."""
