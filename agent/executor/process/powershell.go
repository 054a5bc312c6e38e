package process

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

// PowerShell is a script as -EncodedCommand of powershell.exe takes it: the base64 of UTF-16, which is one word for every shell.
func PowerShell(script string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(script)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return base64.StdEncoding.EncodeToString(b)
}
