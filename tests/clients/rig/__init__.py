"""What `tests/clients/run` needs to put the official SDKs in front of a gateway."""
