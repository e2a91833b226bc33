"""The networks: inputs, recurrent layers in one or two directions, and output heads."""
