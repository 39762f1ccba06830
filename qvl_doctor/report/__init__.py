"""The formats of a report: one pure module each. Import the one that is asked for; only the console ones need rich."""
