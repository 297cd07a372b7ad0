package ecr_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

// BenchmarkPart is what the longest part of a layer costs between its signature and its
// bytes: memory beside the request's body, and time.
func BenchmarkPart(b *testing.B) {
	body := []byte(`{"layerPartBlob":"` + base64.StdEncoding.EncodeToString(make([]byte, 20<<20)) + `",` + partRest + `}`)
	for what, member := range map[string]string{"lifted": partMember, "decoded whole": ""} {
		b.Run(what, func(b *testing.B) {
			b.SetBytes(20 << 20)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				in := bytes.Clone(body) // it is decoded in its place
				b.StartTimer()
				if err := ecr.ReadPart(in, partInput, member); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
