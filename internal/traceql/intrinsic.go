package traceql

import "github.com/pharos-o11y/pharos/internal/store"

// scope is where the query looks for an attribute.
type scope uint8

const (
	scopeNone scope = iota // span, then resource
	scopeSpan
	scopeResource
	scopeEvent
	scopeLink
	scopeInstrumentation
)

// String returns the word before the dot, "" for scopeNone.
func (s scope) String() string {
	return [...]string{"", "span", "resource", "event", "link", "instrumentation"}[s]
}

// store returns the scope of the contract. scopeNone has none.
func (s scope) store() store.AttrScope {
	return [...]store.AttrScope{
		store.ScopeSpan, store.ScopeSpan, store.ScopeResource,
		store.ScopeEvent, store.ScopeLink, store.ScopeInstrumentation,
	}[s]
}

// attrScope returns the scope that word and a dot select.
func attrScope(word string) (scope, bool) {
	for s := scopeSpan; s <= scopeInstrumentation; s++ {
		if s.String() == word {
			return s, true
		}
	}
	return 0, false
}

// intrinsicScope reports whether word and a colon begin an intrinsic.
func intrinsicScope(word string) bool {
	switch word {
	case "trace", "span", "event", "link", "instrumentation":
		return true
	}
	return false
}

// intrinsic is a field that every span has, whatever its attributes. The zero intrinsic
// means "an attribute".
type intrinsic uint8

const (
	inNone intrinsic = iota
	inName
	inDuration
	inStatus
	inStatusMessage
	inKind
	inSpanID
	inParentID
	inChildCount
	inTraceDuration
	inRootName
	inRootService
	inTraceID
	inEventName
	inEventTime
	inLinkTraceID
	inLinkSpanID
	inScopeName
	inScopeVersion
	inNestedLeft
	inNestedRight
	inNestedParent
	inParent // refused
)

// intrinsicInfo describes an intrinsic: its canonical spelling, which is also its key in
// results, the other spellings, and its type (TypeNil means known only per span).
type intrinsicInfo struct {
	name    string
	aliases []string
	typ     Type
	hidden  bool // never listed among a span's attributes: other fields show it
}

//nolint:gochecknoglobals // read-only table
var intrinsics = [...]intrinsicInfo{
	inNone:          {},
	inName:          {"name", []string{"span:name"}, TypeString, true},
	inDuration:      {"duration", []string{"span:duration"}, TypeDuration, true},
	inStatus:        {"status", []string{"span:status"}, TypeStatus, false},
	inStatusMessage: {"statusMessage", []string{"span:statusMessage"}, TypeString, false},
	inKind:          {"kind", []string{"span:kind"}, TypeKind, false},
	inSpanID:        {"span:id", nil, TypeString, true},
	inParentID:      {"span:parentID", nil, TypeString, false},
	inChildCount:    {"span:childCount", nil, TypeInt, false},
	inTraceDuration: {"traceDuration", []string{"trace:duration"}, TypeDuration, true},
	inRootName:      {"rootName", []string{"trace:rootName"}, TypeString, true},
	inRootService:   {"rootServiceName", []string{"trace:rootService"}, TypeString, true},
	inTraceID:       {"trace:id", nil, TypeString, true},
	inEventName:     {"event:name", nil, TypeString, false},
	inEventTime:     {"event:timeSinceStart", nil, TypeDuration, false},
	inLinkTraceID:   {"link:traceID", nil, TypeString, false},
	inLinkSpanID:    {"link:spanID", nil, TypeString, false},
	inScopeName:     {"instrumentation:name", nil, TypeString, false},
	inScopeVersion:  {"instrumentation:version", nil, TypeString, false},
	inNestedLeft:    {"nestedSetLeft", nil, TypeInt, false},
	inNestedRight:   {"nestedSetRight", nil, TypeInt, false},
	inNestedParent:  {"nestedSetParent", nil, TypeInt, false},
	inParent:        {"parent", nil, TypeNil, true},
}

func (in intrinsic) info() *intrinsicInfo { return &intrinsics[in] }

// findIntrinsic returns the intrinsic spelled text ("kind", "span:kind").
func findIntrinsic(text string) (intrinsic, bool) {
	for i := range intrinsics[1:] {
		in := intrinsic(i + 1)
		info := in.info()
		if info.name == text {
			return in, true
		}
		for _, a := range info.aliases {
			if a == text {
				return in, true
			}
		}
	}
	return inNone, false
}

// IntrinsicTags returns the spellings of the intrinsics that Tempo lists as tag names,
// sorted.
func IntrinsicTags() []string {
	return []string{
		"duration", "event:name", "event:timeSinceStart", "instrumentation:name",
		"instrumentation:version", "kind", "link:spanID", "link:traceID", "name", "rootName",
		"rootServiceName", "span:duration", "span:id", "span:kind", "span:name",
		"span:parentID", "span:status", "span:statusMessage", "status", "statusMessage",
		"trace:duration", "trace:id", "trace:rootName", "trace:rootService", "traceDuration",
	}
}

// isKeyword reports whether word cannot be the name of a hint.
func isKeyword(word string) bool {
	switch word {
	case "true", "false", "nil", "error", "ok", "unset",
		"unspecified", "internal", "server", "client", "producer", "consumer",
		"duration", "name", "status", "statusMessage", "kind", "parent", "rootName",
		"rootServiceName", "traceDuration", "nestedSetLeft", "nestedSetRight", "nestedSetParent",
		"childCount", "rootService", "id", "traceID", "spanID", "parentID", "timeSinceStart", "version",
		"count", "avg", "min", "max", "sum", "by", "coalesce", "select", "with",
		"topk", "bottomk":
		return true
	}
	_, ok := findMetricFunc(word)
	return ok
}
