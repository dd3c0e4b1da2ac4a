"""Pictures from strangers: their containers, decoded and stripped, and the hashes they are known again by."""
