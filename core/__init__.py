"""The capture: everything of bieber-tui that works without a screen."""

__version__ = "0.1.0"
