"""Programs that ask to be called when something changes: FHIR Subscriptions by topic, with signed calls."""
