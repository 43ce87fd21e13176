"""alter-sync: declarative GitOps for the managed agents of Alter."""
