"""How often does a script that a model wrote from `runner prompt` alone run the first time? See README.md."""
