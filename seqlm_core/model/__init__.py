"""The network: inputs, recurrent layers in one or two directions, and output heads."""
