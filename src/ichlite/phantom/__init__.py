"""Make synthetic head CT with labelled bleeds, as a prepared store or as DICOM."""
