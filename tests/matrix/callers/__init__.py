"""The SDKs of each client dialect: the scenario's question in their words, and what they heard in no dialect."""
