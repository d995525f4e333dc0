"""What is made from the contract for others: permissions, and pages for people."""
