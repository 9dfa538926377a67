"""How time and memory of the mixers grow with the sequence: cases, workers, points, slopes and floors."""
