"""Sensors of the PixVerse provider."""
