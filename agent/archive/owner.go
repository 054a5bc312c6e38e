package archive

import (
	"encoding/binary"
	"io/fs"
)

// ownerField is the id of the extra field of a zip entry that holds numeric owners ("Info-ZIP New Unix"): id, length, version 1, then
// size and value of user and group, all little-endian.
// Source: Info-ZIP, proginfo/extrafld.txt.
const ownerField = 0x7875

// appendOwner adds the owners of a file, where the system knows them.
func appendOwner(extra []byte, info fs.FileInfo) []byte {
	uid, gid, ok := owner(info)
	if !ok {
		return extra
	}
	le := binary.LittleEndian
	extra = le.AppendUint16(extra, ownerField)
	extra = le.AppendUint16(extra, 11)
	extra = append(extra, 1, 4)
	extra = le.AppendUint32(extra, uid)
	extra = append(extra, 4)
	return le.AppendUint32(extra, gid)
}

// readOwner finds the owners among a zip entry's extra fields.
func readOwner(extra []byte) (uid, gid int, ok bool) {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		id, size := le.Uint16(extra), int(le.Uint16(extra[2:]))
		extra = extra[4:]
		if size > len(extra) {
			break
		}
		field := extra[:size]
		extra = extra[size:]
		if id == ownerField && size == 11 && field[0] == 1 && field[1] == 4 && field[6] == 4 {
			return int(le.Uint32(field[2:])), int(le.Uint32(field[7:])), true
		}
	}
	return 0, 0, false
}
