package server

import "bytes"

// scrapeKind is what a request is answered with.
type scrapeKind uint8

const (
	scrapeIncomplete scrapeKind = iota // more of it is to come
	scrapeText                         // metrics, in Prometheus's text format
	scrapeOpenMetrics
	scrapeNotFound
	scrapeBadMethod
	scrapeBadRequest
)

// scrapeHeads begin replies.
var scrapeHeads = [...]string{
	scrapeText:        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8",
	scrapeOpenMetrics: "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8",
	scrapeNotFound:    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain",
	scrapeBadMethod:   "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Type: text/plain",
	scrapeBadRequest:  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain",
}

var (
	crlf       = []byte("\r\n")
	blankLine  = []byte("\r\n\r\n")
	methodGet  = []byte("GET ")
	methodHead = []byte("HEAD ")
	metricsURL = []byte("/metrics")
	versionOne = []byte(" HTTP/1.")
	accept     = []byte("\naccept:")
	openFormat = []byte("application/openmetrics-text")
)

// parseScrape reads an HTTP request as far as it matters, which is no longer than max.
// Upper case is made lower in its headers.
func parseScrape(request []byte, max int) scrapeKind {
	end := bytes.Index(request, blankLine)
	switch {
	case end < 0 && len(request) < max:
		return scrapeIncomplete
	case end < 0:
		return scrapeBadRequest
	}
	line := request[:bytes.Index(request, crlf)]
	headers := request[len(line):end]
	version := bytes.LastIndex(line, versionOne)
	method := methodGet
	if bytes.HasPrefix(line, methodHead) {
		method = methodHead
	}
	switch {
	case version < 0:
		return scrapeBadRequest
	case !bytes.HasPrefix(line, method):
		return scrapeBadMethod
	case len(method) > version:
		return scrapeBadRequest
	}
	path := line[len(method):version]
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if !bytes.Equal(path, metricsURL) {
		return scrapeNotFound
	}
	for i, c := range headers {
		if 'A' <= c && c <= 'Z' {
			headers[i] = c + 'a' - 'A'
		}
	}
	if i := bytes.Index(headers, accept); i >= 0 {
		value := headers[i+len(accept):]
		if end := bytes.Index(value, crlf); end >= 0 {
			value = value[:end]
		}
		if bytes.Contains(value, openFormat) {
			return scrapeOpenMetrics
		}
	}
	return scrapeText
}
