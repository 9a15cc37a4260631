package profile

import (
	"reflect"
	"regexp"
	"strings"

	"gomcd/sandbox"
)

// Row is a rule as its table has it: the same for every server.
type Row struct {
	Role      sandbox.Role
	Call      string
	Arguments string // what they must be; N is a number that servers differ in
	Feature   string
	Reason    string
	Stays     string // why it is there though it may never be seen at work

	rule   sandbox.Rule
	varies []bool // of the rule's conditions: servers differ in it
}

// Rows lists the rules of every role with every option on.
func Rows() []Row {
	// Two servers that differ in everything that servers can differ in.
	one, other := profiles(1), profiles(2)
	var rows []Row
	for i, p := range one {
		for j, rule := range p.Rules {
			r := row(p.Role, rule, other[i].Rules[j])
			if n := len(rows); n > 0 && r.same(&rows[n-1]) {
				continue // one of several descriptors or ranges
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// profiles are those of a server: of both processes, but for what the boot and the
// reporter of the front may do.
func profiles(server int) []sandbox.Profile {
	p := params(server)
	all := sandbox.Profiles(p)
	for _, front := range sandbox.FrontProfiles(p) {
		if front.Role == sandbox.Front {
			all = append(all, front)
		}
	}
	return all
}

var digits = regexp.MustCompile(`[0-9]+`)

// row is the row that two servers' rules were made from.
func row(role sandbox.Role, a, b sandbox.Rule) Row {
	r := Row{Role: role, Call: a.Call, Feature: a.Feature, Reason: a.Reason, Stays: a.Stays, rule: a}
	var parts []string
	for i, c := range a.When {
		differs := c.Value != b.When[i].Value || c.Mask != b.When[i].Mask
		r.varies = append(r.varies, differs)
		text := c.Text
		if differs {
			text = digits.ReplaceAllString(text, "N")
		}
		parts = append(parts, text)
	}
	r.Arguments = strings.Join(parts, "; ")
	if a.Errno != 0 {
		r.Arguments = "fails with " + a.Errno.Error()
	}
	return r
}

func (r *Row) same(o *Row) bool {
	return r.Role == o.Role && r.Call == o.Call && r.Arguments == o.Arguments && r.Feature == o.Feature && r.Reason == o.Reason
}

// params are the facts of a server that has every option, in numbers that are
// its own. They are set by kind, so that a new one is too.
func params(server int) sandbox.Params {
	var p sandbox.Params
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		number := int64(1000*server + i)
		switch f.Kind() {
		case reflect.Int:
			f.SetInt(number)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.Int {
				f.Set(reflect.ValueOf([]int{int(number)}))
			}
		}
	}
	p.FirstClientFD, p.EndClientFD = 64*server, 1024*server
	p.AsyncPreempt, p.GreenTea = false, false // other builds
	return p
}

// allows says whether the rule allows a call, whatever servers differ in.
func (r *Row) allows(call string, args [6]uint64) bool {
	if r.Call != call {
		return false
	}
	for i, c := range r.rule.When {
		if !r.varies[i] && !c.Holds(args[c.Arg]) {
			return false
		}
	}
	return true
}

// variable says whether servers differ in the rule.
func (r *Row) variable() bool {
	for _, v := range r.varies {
		if v {
			return true
		}
	}
	return false
}

const testFeature = "--test-privileges"

// find returns the row by which a role makes a call, or -1. With test
// privileges a call may have been allowed by theirs; which descriptor it was
// about, a row does not tell, so then theirs comes before such rows.
func find(rows []Row, role sandbox.Role, call string, args [6]uint64, privileged bool) int {
	best, rank := -1, 4
	for i := range rows {
		r := &rows[i]
		if r.Role != role || !r.allows(call, args) {
			continue
		}
		now := 1
		switch {
		case r.Feature == testFeature && !privileged:
			continue
		case r.Feature == testFeature:
			now = 2
		case r.variable():
			now = 3
		}
		if now < rank {
			best, rank = i, now
		}
	}
	return best
}
