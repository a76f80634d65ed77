package files

// The Content-Type of a file, by its ending.

import (
	"mime"
	"path"
	"strings"
)

// unknownType is what is said of anything else.
const unknownType = "application/octet-stream"

// types are those the web is made of, so that they do not depend on the
// machine; what is missing here, its /etc/mime.types may know.
var types = map[string]string{
	".avif": "image/avif", ".css": "text/css", ".csv": "text/csv", ".gif": "image/gif", ".gz": "application/gzip",
	".htm": "text/html", ".html": "text/html", ".ico": "image/vnd.microsoft.icon", ".ics": "text/calendar",
	".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript", ".json": "application/json",
	".jsonld": "application/ld+json", ".map": "application/json", ".md": "text/markdown", ".mjs": "text/javascript",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ogg": "audio/ogg", ".ogv": "video/ogg", ".opus": "audio/ogg",
	".otf": "font/otf", ".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".tar": "application/x-tar",
	".ttf": "font/ttf", ".txt": "text/plain", ".vtt": "text/vtt", ".wasm": "application/wasm", ".wav": "audio/wav",
	".weba": "audio/webm", ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".webp": "image/webp",
	".woff": "font/woff", ".woff2": "font/woff2", ".xhtml": "application/xhtml+xml", ".xml": "application/xml",
	".zip": "application/zip", ".zst": "application/zstd",
}

// typeOf gives the media type for a file name; of text, with its charset.
func typeOf(name string) string {
	ending := strings.ToLower(path.Ext(name))
	known := types[ending]
	if known == "" {
		known = mime.TypeByExtension(ending)
	}
	switch {
	case known == "":
		return unknownType
	case strings.HasPrefix(known, "text/") && !strings.Contains(known, ";"):
		return known + "; charset=utf-8"
	}
	return known
}
