package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash"
)

// macSize is how much of a paging token's HMAC it carries.
const macSize = 16

// Pages makes and reads paging tokens: where the next page of a list begins, for
// clients that cannot make such a token of their own nor use it for another list.
// The same key makes the same tokens, so they survive restarts. They are no secret
// and give no right: each page is decided on by itself.
type Pages struct{ key []byte }

// NewPages returns Pages with a key of 32 bytes that nothing else is signed with.
func NewPages(key []byte) Pages { return Pages{key} }

// Token returns the token for the page after last of the list that op gives for
// filter, whose JSON says which list it is.
func (p Pages) Token(op string, filter any, last string) (string, error) {
	mac, err := p.mac(op, filter)
	if err != nil {
		return "", err
	}
	mac.Write([]byte(last))
	return base64.RawURLEncoding.EncodeToString(append(mac.Sum(nil)[:macSize], last...)), nil
}

// Last returns what Token was given for the same list; false: it did not make the
// token.
func (p Pages) Last(op string, filter any, token string) (last string, ok bool, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(text) < macSize {
		return "", false, nil
	}
	mac, err := p.mac(op, filter)
	if err != nil {
		return "", false, err
	}
	mac.Write(text[macSize:])
	return string(text[macSize:]), hmac.Equal(mac.Sum(nil)[:macSize], text[:macSize]), nil
}

// mac has seen the list, each part with its length before it.
func (p Pages) mac(op string, filter any) (hash.Hash, error) {
	which, err := json.Marshal(filter)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, p.key)
	for _, part := range [][]byte{[]byte(op), which} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write(part)
	}
	return mac, nil
}
