"""From collections and their captions to rights-clear, documented WebDataset shards."""
