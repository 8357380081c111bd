"""A field to type in, whose cursor stands still: a screen that is watched for hours has nothing that blinks."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input


class Field(Input):
    """Textual's input without the blinking: the cursor is shown for as long as the field has the focus."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.set_reactive(Input.cursor_blink, False)
