"""Programs to compare with. Each says what it imitates, or starts a package as it is."""
