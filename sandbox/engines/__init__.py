"""Where a sandbox lives: each engine gives a kubeconfig and says what it can do."""
