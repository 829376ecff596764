"""GraphQL over HTTP: a request is read, answered by the engine, and replied to as JSON or as an event stream."""
