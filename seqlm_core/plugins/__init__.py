"""What plugins are: the records that they hand over, how they are found, and how their errors are told."""
