package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/config"
)

const manualHead = `# Configuration

<!-- Made from the comments in internal/config/config.go by
     go test ./internal/config -run TestManual -update: do not edit. -->

` + "`weir serve --config FILE`" + ` reads one YAML file; without it the defaults hold. ` +
	"`weir check FILE`" + `
says everything that is wrong with a file, each problem with its line. Unknown keys
are problems.

An example (relative paths start at the file's own folder):

`

// TestManual makes docs/configuration.md from the comments on Config and compares.
func TestManual(t *testing.T) {
	example, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loads(t, example)
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	m := &manual{structs: map[string]*ast.StructType{}}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				m.structs[spec.Name.Name] = s
			}
		}
		return true
	})
	m.WriteString(manualHead + "```yaml\n" + string(example) + "```\n\n")
	m.section(t, "Config", "", reflect.ValueOf(config.Default()).Elem())
	golden(t, "../../docs/configuration.md", m.String())
}

// loads checks the manual's example beside the files that it names.
func loads(t *testing.T, example []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"weir.yaml": example,
		"password":  []byte("secret\n"),
		"cert.pem":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.Load(filepath.Join(dir, "weir.yaml"), nil); err != nil {
		t.Fatalf("the manual's example has problems:\n%v", err)
	}
}

// manual is the text that is being made.
type manual struct {
	strings.Builder
	structs map[string]*ast.StructType
}

// section writes the keys of one struct, then those of the structs inside.
func (m *manual) section(t *testing.T, name, key string, defaults reflect.Value) {
	t.Helper()
	title := key
	if key == "" {
		title = "Keys"
	}
	fmt.Fprintf(m, "## %s\n\n", title)
	var inner []func()
	for _, f := range m.structs[name].Fields.List {
		tag := ""
		if f.Tag != nil {
			tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
		}
		if tag == "" || tag == "-" {
			continue
		}
		if f.Doc == nil {
			t.Errorf("%s.%s has no comment, so the manual has no text for it", name, tag)
		}
		fmt.Fprintf(m, "### %s\n\n%s", strings.TrimPrefix(key+"."+tag, "."), f.Doc.Text())
		value := reflect.Value{}
		if defaults.IsValid() {
			value = defaults.FieldByName(f.Names[0].Name)
		}
		if d := defaultText(value); d != "" {
			fmt.Fprintf(m, "Default: `%s`.\n", d)
		}
		m.WriteString("\n")
		elem, path := f.Type, strings.TrimPrefix(key+"."+tag, ".")
		switch x := f.Type.(type) {
		case *ast.ArrayType:
			elem, path, value = x.Elt, path+"[]", reflect.Value{}
		case *ast.MapType:
			elem, path, value = x.Value, path+".NAME", reflect.Value{}
		}
		if id, ok := elem.(*ast.Ident); ok && m.structs[id.Name] != nil {
			inner = append(inner, func() { m.section(t, id.Name, path, value) })
		}
	}
	for _, f := range inner {
		f()
	}
}

// defaultText is a scalar's default as one would write it, "" for none.
func defaultText(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() {
		return ""
	}
	switch x := v.Interface().(type) {
	case string:
		return x
	case config.Duration:
		return x.String()
	case config.KeepFree:
		return fmt.Sprintf("%g%%", x.Percent)
	}
	return ""
}
