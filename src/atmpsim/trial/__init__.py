"""Virtual trials on arrays: who is allotted and lost, what is measured, endpoints, comparisons, escalation."""
