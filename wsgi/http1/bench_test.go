package http1

import (
	"net"
	"testing"

	"gowsgi/environ"
)

const browserHead = "GET /articles/2024/?page=2 HTTP/1.1\r\n" +
	"Host: www.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: csrftoken=0123456789abcdef0123456789abcdef; sessionid=fedcba9876543210\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n\r\n"

func BenchmarkParseHead_Browser(b *testing.B) {
	buf := []byte(browserHead)
	var r environ.Request
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if n, err := ParseHead(buf, Limits{}, &r); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseHead_Small(b *testing.B) {
	buf := []byte(get)
	var r environ.Request
	b.ReportAllocs()
	for b.Loop() {
		if n, err := ParseHead(buf, Limits{}, &r); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkExchange_HelloOverLoopback(b *testing.B) {
	hello := []byte("Hello, world!\n")
	_, addr := serve(b, Options{Server: "gowsgi", Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, textPlain, int64(len(hello)))
		_, _ = x.Write(hello)
		_ = x.Finish()
	})})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	request, answer := []byte(get), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunkDecoder(b *testing.B) {
	src := []byte("1000\r\n")
	src = append(src, make([]byte, 4096)...)
	src = append(src, "\r\n0\r\n\r\n"...)
	dst := make([]byte, 8192)
	b.ReportAllocs()
	b.SetBytes(4096)
	for b.Loop() {
		var d chunkDecoder
		if n, _, ok := d.decode(dst, src); n != 4096 || !ok || !d.done() {
			b.Fatal(n, ok, d.done())
		}
	}
}
