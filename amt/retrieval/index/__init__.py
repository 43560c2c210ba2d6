"""The MIDI files of a folder, read once and kept on disk as facts and embeddings."""
