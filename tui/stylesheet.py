"""Textual's style sheet, parsed when there is something to parse.

Textual 8.2.8 parses the whole sheet three times before the first frame: as it is given, when the first screen
begins, and when the first widgets bring their own rules, since the second time forgets what the first has learnt.
It is a sixth of the time that one waits for the frame. Here a sheet whose variables (the theme's colours) are the
same keeps what it has parsed, as Textual itself does between two changes of the theme.
"""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class KeptStylesheet(Stylesheet):
    """A sheet that is parsed anew when its variables have changed, and else not."""

    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parsed_with = variables

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take other variables; the same ones change nothing."""
        if variables != self._parsed_with:
            self._parsed_with = variables
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what was not parsed with these variables yet."""
        self.parse()
