"""What is measured of an operation, and how a refusal says that there is too much of it."""

from collections.abc import Mapping

from graphql_app.domain.errors import TooMany

# What is measured of a document once it is parsed, and how a refusal says so.
MEASURES: Mapping[str, str] = {
    "depth": "The operation is {asked} levels deep, the limit is {limit}.",
    "aliases": "The document has {asked} aliases, the limit is {limit}.",
    "directives": "The document has {asked} directives, the limit is {limit}.",
    "nodes": "The document has {asked} fields, arguments and values with its fragments in place, the limit is {limit}.",
    "comparisons": "The same names stand beside each other too often: {asked} comparisons, the limit is {limit}.",
    "cost": "The answer could have {asked} values, the limit is {limit}; ask for fewer fields or smaller pages.",
}


def limit_refusal(measure: str, limit: int, asked: int) -> TooMany:
    """Returns the refusal of what is beyond a limit."""
    # Twenty fragments can unfold to more than a number that anybody wants to read.
    message = MEASURES[measure].format(limit=f"{limit:,}", asked=f"{asked:,}" if asked < 10**9 else "over a billion")
    return TooMany(message, measure=measure, limit=limit, asked=min(asked, 10**9))
