"""What carries the protocol: uvicorn's own transport, or any ASGI server."""
