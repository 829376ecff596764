"""The composition root: every part built once, by hand, and ended in the reverse order.

`running` is the whole of it at a glance; `store`, `live`, `services` and `graph` each build what the room of that name
has, and `application` opens the doors. `identity` is what commands build as well, and `checks` says beforehand whether
the settings can be built from at all.
"""
