"""History for a demonstration: days that were, by the same rules as days that are. Never for a real department."""
