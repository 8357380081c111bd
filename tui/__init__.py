"""The terminal: the dashboard and the command line. Draws snapshots, sends commands."""
