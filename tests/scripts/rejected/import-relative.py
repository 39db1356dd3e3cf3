from .agents import research

result = 1
