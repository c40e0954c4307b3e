"""How fast dagnet is, beside what its users would write otherwise; see README.md."""
