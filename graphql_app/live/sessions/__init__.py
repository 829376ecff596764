"""Open connections, and the accounts behind them."""
