"""Hand-made features of clips: texture with torch, counted like any layer, and geometry of landmarks."""
