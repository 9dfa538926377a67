"""Synthetic stand-ins: rendered faces whose geometry, texture and timing follow the labels, written as a vendor would."""
