"""graphql-transport-ws: a protocol that knows no socket, and the transports that carry it."""
