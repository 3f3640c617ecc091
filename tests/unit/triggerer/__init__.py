"""Tests of what many waits share in the triggerer."""
