"""Where posts come from: one file a source, base.py is their contract."""
