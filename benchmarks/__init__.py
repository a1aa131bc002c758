"""How fast and how large dcabot is, each figure beside a floor measured in the same run. See README.md."""
