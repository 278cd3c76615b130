"""The benchmark rig's scripts; tests/bench/README.md says how to use them. Standard library only."""
