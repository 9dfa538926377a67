"""Shipped model plugins, found by file name; nothing is registered here."""
