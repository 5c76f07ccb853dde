"""What a way of choosing is worth, played again on votes that a database already holds. Writes nothing."""
