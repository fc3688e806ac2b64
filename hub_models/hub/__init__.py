"""What goes to the Hub: the model card, the upload, the search for what must not be published."""
