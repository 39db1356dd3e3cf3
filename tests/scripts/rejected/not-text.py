result = "café"
