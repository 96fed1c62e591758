"""One module, or one package, for each dialect that providers speak. None knows another."""
