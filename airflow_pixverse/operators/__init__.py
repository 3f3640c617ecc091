"""Operators of the PixVerse provider."""
