"""Loops that ask for the time and never wait."""
import time

handle = spawn("research", {"vendor": "Acme"})
deadline = time.time() + 30
while time.time() < deadline:
    print("waiting")

start = time.monotonic()
while True:
    if time.monotonic() - start > 5:
        break

while time.time() < deadline + 60:
    sleep(5)
result = handle.result()
