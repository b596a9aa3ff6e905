package part

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/store"
)

// A part file, little endian: header, blocks, index block, trailer. A block is its bytes
// followed by their xxh3 (64 bit).
//
//	header:  "PHRP" version(1) signal(1) 0 0
//	trailer: index ref (offset 8, length 4), min time 8, max time 8, rows 8, level 4,
//	         xxh3 of the trailer so far 8, "PHRE"
const (
	fileMagic    = "PHRP"
	endMagic     = "PHRE"
	fileVersion  = 1
	fileHeader   = 8
	blockSumLen  = 8
	trailerLen   = 12 + 8 + 8 + 8 + 4 + 8 + 4
	trailerSumAt = trailerLen - 12
	maxBlock     = 1 << 30
)

// Ref is where a block is in its file.
type Ref struct {
	Off uint64
	Len uint32 // without the checksum
}

// Stats is what the manifest and the trailer know about a part.
type Stats struct {
	MinTime int64 // of the rows, Unix nanoseconds
	MaxTime int64 // inclusive
	Rows    int64
	Level   uint32 // number of merges behind the part; set by the Set
}

// File reads the blocks of one part file. It is safe for concurrent use.
type File struct {
	handle
	name  string // for errors: path below the set's directory
	size  int64
	stats Stats
	index Ref
}

// openFile opens path and checks header and trailer.
func openFile(path, name string, all *handles) (*File, error) {
	file := &File{handle: handle{path: path, all: all}, name: name}
	if err := file.readTrailer(); err != nil {
		file.close()
		return nil, err
	}
	return file, nil
}

func (f *File) corrupt(format string, args ...any) error {
	return fmt.Errorf("part %s: %w: %s", f.name, store.ErrCorrupt, fmt.Sprintf(format, args...))
}

func (f *File) readTrailer() error {
	size, err := f.stat()
	if err != nil {
		return fmt.Errorf("open part %s: %w", f.name, err)
	}
	f.size = size
	if f.size < fileHeader+trailerLen {
		return f.corrupt("%d bytes are too few", f.size)
	}
	var head [fileHeader]byte
	var b [trailerLen]byte
	if err := f.readAt(head[:], 0); err != nil {
		return fmt.Errorf("read header of part %s: %w", f.name, err)
	}
	if err := f.readAt(b[:], f.size-trailerLen); err != nil {
		return fmt.Errorf("read trailer of part %s: %w", f.name, err)
	}
	le := binary.LittleEndian
	switch {
	case string(head[:4]) != fileMagic:
		return f.corrupt("wrong first bytes %q", head[:4])
	case head[4] > fileVersion || head[4] == 0:
		return f.corrupt("format version %d, this program reads up to %d", head[4], fileVersion)
	case string(b[trailerLen-4:]) != endMagic:
		return f.corrupt("wrong last bytes %q", b[trailerLen-4:])
	case xxh3.Hash(b[:trailerSumAt]) != le.Uint64(b[trailerSumAt:]):
		return f.corrupt("trailer checksum")
	}
	f.index = Ref{le.Uint64(b[0:]), le.Uint32(b[8:])}
	f.stats = Stats{
		MinTime: int64(le.Uint64(b[12:])),
		MaxTime: int64(le.Uint64(b[20:])),
		Rows:    int64(le.Uint64(b[28:])),
		Level:   le.Uint32(b[36:]),
	}
	return nil
}

// Read returns the block at ref, checked. It reads into buf if that is large enough, so
// that the result is valid until buf is reused. Errors wrap [store.ErrCorrupt] for bad
// bytes; others are I/O.
func (f *File) Read(ref Ref, buf []byte) ([]byte, error) {
	n := int64(ref.Len) + blockSumLen
	if ref.Off < fileHeader || ref.Len > maxBlock || int64(ref.Off) < 0 || int64(ref.Off)+n > f.size-trailerLen {
		return nil, f.corrupt("block reference %d+%d lies outside of %d bytes", ref.Off, ref.Len, f.size)
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if err := f.readAt(buf, int64(ref.Off)); err != nil {
		return nil, fmt.Errorf("read block at %d of part %s: %w", ref.Off, f.name, err)
	}
	data := buf[:ref.Len]
	if got, want := xxh3.Hash(data), binary.LittleEndian.Uint64(buf[ref.Len:]); got != want {
		return nil, f.corrupt("block at %d: checksum %016x, want %016x", ref.Off, got, want)
	}
	return data, nil
}

// ReadPiece fills piece with the bytes of the block at ref from off on. They are not checked:
// it is for blocks that hold checksums of their pieces.
func (f *File) ReadPiece(ref Ref, off int, piece []byte) error {
	if off < 0 || off+len(piece) > int(ref.Len) || int64(ref.Off) < 0 || int64(ref.Off)+int64(ref.Len) > f.size-trailerLen {
		return f.corrupt("piece %d+%d of a block of %d bytes at %d", off, len(piece), ref.Len, ref.Off)
	}
	if err := f.readAt(piece, int64(ref.Off)+int64(off)); err != nil {
		return fmt.Errorf("read piece of the block at %d of part %s: %w", ref.Off, f.name, err)
	}
	return nil
}

// Index returns the block given to [Writer.Finish].
func (f *File) Index() ([]byte, error) { return f.Read(f.index, nil) }

// Stats returns the part's statistics.
func (f *File) Stats() Stats { return f.stats }

// Size returns the bytes of the file.
func (f *File) Size() int64 { return f.size }

// Name returns the path of the file below the set's directory, for messages.
func (f *File) Name() string { return f.name }
