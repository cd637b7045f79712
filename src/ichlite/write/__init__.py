"""Write results as JSON, CSV, HTML or the triage list of the terminal, one file each."""
