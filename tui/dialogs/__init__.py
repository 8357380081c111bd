"""Dialogs of the dashboard: each one screen, left with escape."""
