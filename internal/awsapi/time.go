package awsapi

import (
	"strconv"
	"time"
)

// Time is a time as AWS's JSON has it: seconds since 1970 with milliseconds.
type Time struct{ time.Time }

// MarshalJSON returns the number. The zero Time is to be left out by omitzero.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', 3, 64), nil
}
