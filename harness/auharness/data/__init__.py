"""From vendor files to crops: decoding, landmarks, alignment and the crop cache."""
