"""Records of finished work: files are the truth, the index beside them can be rebuilt."""
