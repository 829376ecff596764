"""python -m graphql_app"""

from graphql_app.cli import main

main()
