package main

// What was found, as rows: ours beside the yardstick's, a ratio above 1 when ours is better, and what is not the same.

import (
	"fmt"
	"math"
	"slices"
)

// found is everything that was measured of one side.
type found struct {
	Small []float64 `json:"smallReadySeconds"`
	Large []float64 `json:"largeReadySeconds"`
	// Processor time of the API server and etcd for each object of the large row, in ms.
	Server []float64 `json:"serverMs"`
	Noop   []noop    `json:"noop"`
	Life   *lifetime `json:"lifetime"`
	Scale  *scale    `json:"scale"`
}

type row struct {
	Name    string   `json:"name"`
	Ours    *float64 `json:"ours"`
	Peer    *float64 `json:"peer"`
	Ratio   *float64 `json:"ratio"`
	Aim     *float64 `json:"aim"`
	Unit    string   `json:"unit"`
	NotSame string   `json:"notSame"`
}

const (
	world = "the API server, the pods and the loop that runs them share the two cores, for both sides alike"
	idle  = "the peer's pods have no domain, assignment or token: a worker could do nothing in them"
	more  = "ours watches three kinds, holds a lease and gives pods their assignment in the template; the peer watches one kind"
)

func rows(o options, sides map[string]*found) []row {
	var all []row
	beside := "peer"
	add := func(name, unit string, aim float64, higher bool, notSame string, figure func(*found) (float64, bool)) {
		r := row{Name: name, Unit: unit, NotSame: notSame}
		if aim >= 0 {
			r.Aim = &aim
		}
		r.Ours, r.Peer = of(sides["ours"], figure), of(sides[beside], figure)
		if r.Ours != nil && r.Peer != nil {
			better, worse := *r.Peer, *r.Ours
			if higher {
				better, worse = worse, better
			}
			ratio := 1.0
			if better != worse {
				ratio = better / worse
			}
			if !math.IsInf(ratio, 0) && !math.IsNaN(ratio) {
				r.Ratio = &ratio
			}
		}
		all = append(all, r)
	}
	noops := func(pick func(noop) float64) func(*found) (float64, bool) {
		return func(f *found) (float64, bool) {
			values := make([]float64, 0, len(f.Noop))
			for _, n := range f.Noop {
				values = append(values, pick(n))
			}
			return median(values)
		}
	}
	lives := func(pick func(*lifetime) float64) func(*found) (float64, bool) {
		return func(f *found) (float64, bool) {
			if f.Life == nil {
				return 0, false
			}
			return pick(f.Life), true
		}
	}
	scales := func(pick func(*scale) float64) func(*found) (float64, bool) {
		return func(f *found) (float64, bool) {
			if f.Scale == nil {
				return 0, false
			}
			return pick(f.Scale), true
		}
	}
	add("no-op reconciles", "1/s", 1500, true, more, noops(func(n noop) float64 { return n.PerSecond }))
	add("no-op reconciles of a second of processor time", "1/s", -1, true, more, noops(func(n noop) float64 { return n.PerCPUSecond }))
	add("p99 of a no-op reconcile", "ms", 10, false, "each side's own histogram; read off between its bounds in a straight line", noops(func(n noop) float64 { return n.P99 }))
	beside = "same"
	large := func(f *found) (float64, bool) { return median(f.Large) }
	small := func(f *found) (float64, bool) { return median(f.Small) }
	add(fmt.Sprintf("%d objects ready", o.large), "s", -1, false, world+"; the peer makes the same Jobs", large)
	add(fmt.Sprintf("%d objects ready", o.small), "s", 1, false, world+"; the peer makes the same Jobs", small)
	add("processor time of the API server until one is ready", "ms", -1, false, "the peer makes the same Jobs; etcd is counted in", func(f *found) (float64, bool) { return median(f.Server) })
	beside = "peer"
	add(fmt.Sprintf("%d objects ready, beside least Jobs", o.large), "s", -1, false, world+"; "+idle, large)
	add(fmt.Sprintf("%d objects ready, beside least Jobs", o.small), "s", 1, false, world+"; "+idle, small)
	add("API writes of a lifetime", "writes", -1, false, "ours tells the end in an event, the peer tells none; neither has a finalizer; leases are left out", lives(func(l *lifetime) float64 { return l.Writes }))
	add("API writes of a lifetime beside its children", "writes", 6, false, "the peer writes no events", lives(func(l *lifetime) float64 { return l.Writes - l.Children }))
	add("status writes of a lifetime", "writes", -1, false, "", lives(func(l *lifetime) float64 { return l.Status }))
	add("writes after a restart", "writes", 0, false, "leases and the leader's own label are left out", scales(func(s *scale) float64 { return float64(s.RestartWrites) }))
	add(fmt.Sprintf("RSS at %d resources and %d pods", o.scale, 2*o.scale), "MiB", 64, false, more+"; each side's pods are of its own template", scales(func(s *scale) float64 { return s.RSS }))
	add("RSS at the same after a restart", "MiB", 64, false, more+"; each side's pods are of its own template", scales(func(s *scale) float64 { return s.RestartRSS }))
	return all
}

func of(f *found, figure func(*found) (float64, bool)) *float64 {
	if f == nil {
		return nil
	}
	if value, ok := figure(f); ok && !math.IsNaN(value) && !math.IsInf(value, 0) {
		return &value
	}
	return nil
}

func median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle], true
	}
	return (sorted[middle-1] + sorted[middle]) / 2, true
}
