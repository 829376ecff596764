"""The way to PostgreSQL: connections, transactions, failures, migrations."""
