"""The reference database: spots with known expression that a query is compared with."""
