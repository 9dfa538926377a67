"""Hand-made features of clips, computed with torch so that they run, and are counted, like any layer."""
