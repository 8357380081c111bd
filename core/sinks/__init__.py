"""Where posts go after the journal: one file a sink, base.py is their contract."""
