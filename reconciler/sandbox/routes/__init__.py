"""The routes of the SDK plane and of the sandbox's own controls, one module for each resource."""
