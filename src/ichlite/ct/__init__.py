"""Read DICOM files as Hounsfield units and as a model's input; training uses the same code."""
