"""Documents: parsed, measured, validated and known by their hash, once each."""
