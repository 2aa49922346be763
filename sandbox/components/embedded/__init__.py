"""What only the embedded engine is made of: a control plane of plain processes."""
