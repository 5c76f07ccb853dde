"""Takes files in, each whole or not at all: formats/ reads them, the modules of the tables store what they hold."""
