"""From correspondences to a position with covariance."""
