"""Attach: watching and steering a capture from another process, over a Unix socket in its data folder."""
