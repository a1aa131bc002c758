"""The whole system in one thread under one seeded scheduler. `README.md` says what is real and what is played."""
