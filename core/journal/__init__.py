"""The journal: one SQLite file that every post lands in first."""
