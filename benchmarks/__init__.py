"""Speed and memory of runner, measured: `make bench`. Never a test: machines differ and are noisy."""
