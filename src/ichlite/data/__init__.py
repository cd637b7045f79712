"""Turn labelled images of any origin into one prepared store."""
