"""HTTP as the client needs it, without knowing PixVerse: transport, deadlines, redirects, redaction."""
