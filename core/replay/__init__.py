"""Replay: a recorded capture run again through the same pipeline and screen, in its own time or faster."""

from core.replay.player import Player
from core.replay.recording import Recording, open_recording

__all__ = ["Player", "Recording", "open_recording"]
