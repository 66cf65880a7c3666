"""The pages: each takes contents and gives one HTML text, by a template of the same name."""
