"""Statements about accounts, login sessions, refresh tokens and failed logins."""
