"""Seeds in, synthetic head CT with labelled bleeds out: as a prepared store or as DICOM."""
