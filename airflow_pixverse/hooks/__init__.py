"""Hooks of the PixVerse provider."""
