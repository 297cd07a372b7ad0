package ecr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

const (
	partInput  = "UploadLayerPartRequest"
	partMember = "layerPartBlob"
	partRest   = `"repositoryName":"a/b","uploadId":"01234567-0123-0123-0123-0123456789ab","partFirstByte":0,"partLastByte":4`
)

func TestLift(t *testing.T) {
	const manifest = "imageManifest"
	quotes := strings.Repeat(`\u0022`, 4<<20)
	for _, tt := range []struct {
		name, input, member, body string
		want                      string // "": it is not lifted, or empty
		problem, err              string // a part of it
	}{
		{"blob", partInput, partMember, `{` + partRest + `,"layerPartBlob":"aGVsbG8="}`, "hello", "", ""},
		{"blob, first", partInput, partMember, `{"layerPartBlob" : "aGVsbG8=" , ` + partRest + `}`, "hello", "", ""},
		{"escaped name", partInput, partMember, `{"layer\u0050artBlob":"aGVsbG8=",` + partRest + `}`, "hello", "", ""},
		{"slashes and more escaped", partInput, partMember, `{"layerPartBlob":"\u002b\/8\u003d\n",` + partRest + `}`, "\xfb\xff", "", ""},
		{"name of a value", partInput, partMember, `{"x":"layerPartBlob","layerPartBlob":"aGVsbG8=",` + partRest + `}`, "hello", "", ""},
		{"name within", partInput, partMember, `{"x":{"layerPartBlob":"eA=="},"y":["layerPartBlob","eA=="],"layerPartBlob":"aGVsbG8=",` + partRest + `}`, "hello", "", ""},
		{"name with other case", partInput, partMember, `{"LayerPartBlob":"aGVsbG8=",` + partRest + `}`, "", "'layerPartBlob' failed to satisfy constraint: 'Member must not be null'", ""},
		{"null", partInput, partMember, `{"layerPartBlob":null,` + partRest + `}`, "", "Member must not be null", ""},
		{"number", partInput, partMember, `{"layerPartBlob":7,` + partRest + `}`, "", "", "is not base64"},
		{"twice", partInput, partMember, `{"layerPartBlob":"eA==","layerPartBlob":"eA==",` + partRest + `}`, "", "", "more than once"},
		{"no base64", partInput, partMember, `{"layerPartBlob":"a%==",` + partRest + `}`, "", "", "is not base64"},
		{"broken base64", partInput, partMember, `{"layerPartBlob":"aGVsbG8",` + partRest + `}`, "", "", "is not base64"},
		{"base64 that goes on", partInput, partMember, `{"layerPartBlob":"eA==eA==",` + partRest + `}`, "", "", "is not base64"},
		{"line break", partInput, partMember, "{\"layerPartBlob\":\"aGVs\nbG8=\"," + partRest + `}`, "", "", "is not base64"},
		{"escaped backslash", partInput, partMember, `{"layerPartBlob":"a\\b",` + partRest + `}`, "", "", "is not base64"},
		{"escape that is cut", partInput, partMember, `{"layerPartBlob":"eA\u003",` + partRest + `}`, "", "", "is not base64"},
		{"escaped beyond ASCII", partInput, partMember, `{"layerPartBlob":"eA\u0141=",` + partRest + `}`, "", "", "is not base64"},
		{"escaped quote", partInput, partMember, `{"layerPartBlob":"a\"b",` + partRest + `}`, "", "", "is not base64"},
		{"no end", partInput, partMember, `{` + partRest + `,"layerPartBlob":"aGVsbG8=`, "", "", "not JSON"},
		{"a long rest", partInput, partMember, `{"x":"` + strings.Repeat("x", 1<<20) + `","layerPartBlob":"eA==",` + partRest + `}`, "", "", "longer than 1048576 bytes without its member"},
		{"as long as can be", partInput, partMember, `{"layerPartBlob":"` + base64.StdEncoding.EncodeToString(make([]byte, 20<<20)) + `",` + partRest + `}`, string(make([]byte, 20<<20)), "", ""},
		{"longer", partInput, partMember, `{"layerPartBlob":"` + base64.StdEncoding.EncodeToString(make([]byte, 20<<20+1)) + `",` + partRest + `}`, string(make([]byte, 20<<20+1)), "length less than or equal to 20971520", ""},

		{"manifest", "PutImageRequest", manifest, `{"repositoryName":"a/b","imageManifest":"{\"a\":1}\n"}`, "{\"a\":1}\n", "", ""},
		{"no manifest", "PutImageRequest", manifest, `{"repositoryName":"a/b"}`, "", "Member must not be null", ""},
		{"empty manifest", "PutImageRequest", manifest, `{"repositoryName":"a/b","imageManifest":""}`, "", "length greater than or equal to 1", ""},
		{"manifest that is not UTF-8", "PutImageRequest", manifest, "{\"imageManifest\":\"a\xff\"}", "", "", "is not UTF-8"},
		{"half of a character", "PutImageRequest", manifest, `{"imageManifest":"a\ud800b"}`, "", "", "half of a character"},
		{"replaced characters", "PutImageRequest", manifest, `{"repositoryName":"a/b","imageManifest":"\uFFFD\ufffd` + "\ufffd" + `\ud83d\ude00"}`, "\ufffd\ufffd\ufffd\U0001F600", "", ""},
		{"bad escape", "PutImageRequest", manifest, `{"imageManifest":"a\x"}`, "", "", "is not a string"},
		{"longest manifest, all escaped", "PutImageRequest", manifest, `{"repositoryName":"a/b","imageManifest":"` + quotes + `"}`, strings.Repeat(`"`, 4<<20), "", ""},
		{"longer manifest", "PutImageRequest", manifest, `{"repositoryName":"a/b","imageManifest":"` + quotes + `x"}`, strings.Repeat(`"`, 4<<20) + "x", "length less than or equal to 4194304", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, long, there, problems, err := ecr.Lift([]byte(tt.body), tt.input, tt.member)
			if err != nil && tt.err == "" || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if empty := tt.name == "empty manifest"; string(long) != tt.want || there != (tt.want != "" || empty) {
				t.Errorf("%d bytes, %v", len(long), there)
			}
			if got := strings.Join(problems, "; "); (got != "") != (tt.problem != "") || !strings.Contains(got, tt.problem) {
				t.Errorf("problems %q, want %q", got, tt.problem)
			}
		})
	}
}

// FuzzLift: what is lifted out of an input is what a reader of JSON finds there, and what
// is left is JSON if and only if the input was.
func FuzzLift(f *testing.F) {
	for _, s := range []string{
		`{"layerPartBlob":"aGVsbG8=",` + partRest + `}`,
		`{` + partRest + `,"layerPartBlob":"a\/\u002b\nGVsbG8="}`,
		`{"x":["layerPartBlob",{"layerPartBlob":"\""}],"layerPartBlob":"aGVsbG8="}`,
		`{"layerPartBlob":"aGVsbG8=","layerPartBlob":"eA=="}`, `["layerPartBlob","x"]`, `{"a\"":"\\","layerPartBlob":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var all map[string]json.RawMessage
		invalid := json.Unmarshal(body, &all)
		for input, member := range map[string]string{partInput: partMember, "PutImageRequest": "imageManifest"} {
			_, long, there, problems, err := ecr.Lift(bytes.Clone(body), input, member)
			if err == nil && !there && len(problems) == 0 {
				t.Fatalf("%q: %s is not lifted, and nothing is wrong", body, member)
			}
			if err != nil || !there {
				continue
			}
			if invalid != nil {
				t.Fatalf("%q was taken for JSON: %v", body, invalid)
			}
			want, text := []byte{}, ""
			if member == partMember {
				err = json.Unmarshal(all[member], &want)
			} else if err = json.Unmarshal(all[member], &text); err == nil {
				want = []byte(text)
			}
			if err != nil || !bytes.Equal(want, long) || !utf8.Valid(all[member]) {
				t.Fatalf("%q: %q lifted, and it is %q, %v", body, long, want, err)
			}
		}
	})
}
