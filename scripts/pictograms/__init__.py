"""Builder of the bundled corpus ``pictograms``; run ``scripts/build_pictograms.py``."""
