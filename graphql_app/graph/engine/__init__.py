"""From an operation to its result, the same for every door: execution, response cache, subscriptions, masked errors."""
