package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Record is one entry of the log.
type Record struct {
	Pos    Pos // position after the record, as Write returned it
	Signal model.Signal
	Tenant model.Tenant
	Data   []byte // valid during the callback
}

//nolint:gochecknoglobals // read-only
var signals = [...]model.Signal{model.Metrics, model.Logs, model.Traces}

// A record on disk, little endian:
//
//	magic    4 bytes  "PWR1": lets replay find the next record behind a damaged one
//	length   4 bytes  of the body
//	checksum 4 bytes  CRC-32C of length and body
//	body:    signal 1 byte, tenant length 1 byte, tenant, data
const (
	recordMagic  = 0x31525750 // "PWR1"
	headerLen    = 12
	maxTenantLen = 255
	maxRecord    = 1 << 29 // bytes of data in one record
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // cached by crc32

func appendRecord(dst []byte, sig model.Signal, tenant model.Tenant, data []byte) []byte {
	if len(tenant) > maxTenantLen {
		model.Bug("tenant of %d bytes reached the wal", len(tenant))
	}
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, recordMagic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(2+len(tenant)+len(data)))
	dst = append(dst, 0, 0, 0, 0, byte(sig), byte(len(tenant)))
	dst = append(dst, tenant...)
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[at+8:], recordSum(dst[at:]))
	return dst
}

// recordSum computes the checksum of the complete record in b.
func recordSum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli(), b[4:8])
	return crc32.Update(sum, castagnoli(), b[headerLen:])
}

// parseRecord reads the record at the start of b. n is its length on disk; ok is false
// when b does not start with a whole, undamaged record.
func parseRecord(b []byte) (r Record, n int, ok bool) {
	if len(b) < headerLen+2 || binary.LittleEndian.Uint32(b) != recordMagic {
		return r, 0, false
	}
	body := int(binary.LittleEndian.Uint32(b[4:]))
	if body < 2 || body > len(b)-headerLen {
		return r, 0, false
	}
	b = b[:headerLen+body]
	if recordSum(b) != binary.LittleEndian.Uint32(b[8:]) {
		return r, 0, false
	}
	tenantEnd := headerLen + 2 + int(b[headerLen+1])
	if tenantEnd > len(b) {
		return r, 0, false
	}
	r.Signal = model.Signal(b[headerLen])
	r.Tenant = model.Tenant(b[headerLen+2 : tenantEnd])
	r.Data = b[tenantEnd:]
	return r, len(b), true
}
