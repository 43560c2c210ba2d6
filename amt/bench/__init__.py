"""How fast AMT is beside what a user could take instead; behind `amt bench`."""
