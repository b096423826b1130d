"""Identities that are kept in the metadata: accounts, users, groups, roles, their policies and
access keys. Every front-end knows them all, and hears of changes within a second."""
