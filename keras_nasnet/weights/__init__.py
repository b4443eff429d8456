"""Weight files into models: download, recognise, check everything, then assign."""
