"""Agent frameworks over every kind of provider: what they hand to their user, and what the provider was asked."""
