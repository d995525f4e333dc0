"""The Binding protocol, and the reference bindings that keep the contract."""
