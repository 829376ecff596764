"""The GraphQL door: HTTP and WebSocket in front, the engine, documents, compiled plans and the API beneath."""
