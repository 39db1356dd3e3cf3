"""The isolated places a guest runs in. Meet them through `seams.Sandbox`."""
