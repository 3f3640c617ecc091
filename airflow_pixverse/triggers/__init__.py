"""Triggers of the PixVerse provider."""
