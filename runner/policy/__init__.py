"""YAML to `Policy` and back: resolve, digest, explain what is wrong where."""
