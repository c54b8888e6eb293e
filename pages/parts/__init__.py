"""What pages are made of: words, choices and their place in the URL, widgets, charts, the run panel, the theme."""
