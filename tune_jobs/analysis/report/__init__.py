"""Report of a comparison as HTML and Markdown, and the model card of the chosen model."""
