from graphql_app.domain.identifiers import *  # noqa: F403
