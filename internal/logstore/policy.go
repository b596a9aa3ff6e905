package logstore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Policies group the streams of a tenant by what they are, so that one group can be
// refused for a time, or must have labels that others need not have.

// anyPolicy is the policy of streams that no other names; the labels that it requires are
// required of all.
const anyPolicy = "*"

// Policy is a group of streams, by Loki's policy_stream_mapping, and what holds for it.
type Policy struct {
	Name           string
	Streams        []PolicyStream // none for anyPolicy
	RequiredLabels []string       // policy_enforced_labels
	BlockedUntil   time.Time      // block_ingestion_policy_until; zero: not blocked
}

// PolicyStream says which streams a policy means. Of the ones that match a stream the one
// with the highest priority counts.
type PolicyStream struct {
	Matchers []*model.Matcher
	Priority int
}

// policy returns the policy of a stream, nil if there is none.
func (l *Limits) policy(labels model.Labels) *Policy {
	var found, rest *Policy
	best := 0
	for i := range l.Policies {
		p := &l.Policies[i]
		if p.Name == anyPolicy {
			rest = p
		}
		for _, s := range p.Streams {
			if (found == nil || s.Priority > best) && model.MatchesLabels(labels, s.Matchers) {
				found, best = p, s.Priority
			}
		}
	}
	if found == nil {
		return rest
	}
	return found
}

// Reasons of Loki's to refuse what comes while it is blocked.
const (
	reasonBlocked       = "blocked_ingestion"
	reasonBlockedPolicy = "blocked_ingestion_policy"
)

// blocked returns the reason why nothing of a stream of p may come now, "" if there is none.
func (l *Limits) blocked(labels model.Labels, p *Policy, now time.Time) (reason string, message func() string) {
	switch {
	case now.Before(l.BlockedUntil):
		return reasonBlocked, func() string {
			return fmt.Sprintf("ingestion is blocked until %s (block_ingestion_until)", l.BlockedUntil.UTC().Format(time.RFC3339))
		}
	case p != nil && now.Before(p.BlockedUntil):
		return reasonBlockedPolicy, func() string {
			return fmt.Sprintf("ingestion of stream '%s' of policy %s is blocked until %s (block_ingestion_policy_until)", labels, p.Name, p.BlockedUntil.UTC().Format(time.RFC3339))
		}
	}
	return "", nil
}

// checkRequired returns the reason why labels lack one that streams of p must have.
func (l *Limits) checkRequired(labels model.Labels, p *Policy) (reason string, message func() string) {
	required := l.RequiredLabels
	for i := range l.Policies {
		if own := &l.Policies[i]; own == p || own.Name == anyPolicy {
			required = append(slices.Clip(required), own.RequiredLabels...)
		}
	}
	for _, name := range required {
		if labels.Get(name) == "" {
			return reasonMissingLabels, func() string {
				return fmt.Sprintf("stream '%s' lacks the required label %s; required are %s", labels, name, strings.Join(required, ", "))
			}
		}
	}
	return "", nil
}
