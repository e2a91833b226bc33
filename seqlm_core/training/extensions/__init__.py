"""What happens around the training loop; one module for each extension."""
