package weirtest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/weir-registry/weir/internal/weirtest"
)

// oldGet asks by HTTP/1.0 and reads to the connection's end.
func oldGet(t *testing.T, s *weirtest.Server, path string) (status int, body []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req, err := http.NewRequest("GET", "http://"+s.Addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Key.ID, s.Key.Secret)
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nAuthorization: %s\r\n\r\n", path, req.Header.Get("Authorization"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, body
}
