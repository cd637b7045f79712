"""DICOM files → Hounsfield units → the tensor that a model takes; the same code feeds training."""
