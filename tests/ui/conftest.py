"""Examples of hypothesis take as long as the machine lets them: no deadline decides a test."""

from hypothesis import settings

settings.register_profile("bieber-tui-ui", deadline=None)
settings.load_profile("bieber-tui-ui")
