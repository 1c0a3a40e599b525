"""The bundled training package: every stage of the method, headless."""
