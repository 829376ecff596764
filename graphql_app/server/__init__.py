"""What surrounds the doors: uvicorn's connection classes, proxies, security headers, limits of bodies."""
