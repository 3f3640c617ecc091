"""Commands of this repository; the Makefile runs them."""
