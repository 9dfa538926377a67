"""Shipped dataset plugins, found by file name; nothing is registered here."""
