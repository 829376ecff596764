"""Who somebody is: logging in, tokens and their keys, accounts."""
