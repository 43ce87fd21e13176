"""alter-sync: declarative GitOps for the managed agents of Alter."""

# Here and not in the metadata, which takes longer to read than a plan of a hundred agents.
__version__ = "0.1.0"
