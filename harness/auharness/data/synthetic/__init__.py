"""Synthetic stand-ins: faces whose geometry, texture and timing follow the labels, in the vendors' file layouts."""
