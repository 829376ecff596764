"""A live GraphQL server for office workstations. docs/architecture.md is the way in."""
