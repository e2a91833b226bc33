"""What people look at: pictures of trainings, and pages that a browser shows without a network."""
