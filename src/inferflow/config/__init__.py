"""What stands beside the code: settings (files, environment, flags), parameters, and where a project begins."""
