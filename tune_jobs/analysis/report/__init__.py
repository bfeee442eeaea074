"""The page, the Markdown and the model card that are made of a comparison."""
