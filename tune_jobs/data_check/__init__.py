"""What a source of images holds, what is wrong with it, and what that means for a comparison."""
