package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// book is what the standard cases have found, on this run or on those before.
// It is kept as JSON beside the document that is made of it.
type book struct {
	Machine machine             `json:"machine"`
	Cases   map[string]*finding `json:"cases"`

	dir string
}

const figuresFile = "benchmarks.json"

// openBook reads the figures in a directory, if there are any.
func openBook(dir string) (*book, error) {
	b := &book{dir: dir}
	path := filepath.Join(dir, figuresFile)
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &fs.PathError{Op: "writing a report", Path: dir, Err: fs.ErrNotExist}
	}
	if err == nil {
		if err := json.Unmarshal(text, b); err != nil {
			return nil, fmt.Errorf("%s: %w (remove it to begin anew)", path, err)
		}
	}
	if b.Cases == nil {
		b.Cases = map[string]*finding{}
	}
	return b, nil
}

// add adds a finding and saves all.
func (b *book) add(f *finding) error {
	b.Cases[f.Case] = f
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, figuresFile), append(text, '\n'), 0o644)
}

// write writes the document and its charts.
func (b *book) write() error {
	files, err := b.document()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// of returns the finding of a trial, nil if there is none.
func (b *book) of(t *trial) *finding {
	f := b.Cases[t.name]
	if f == nil || len(f.Servers) < 2 {
		return nil
	}
	return f
}

// named returns the series of a server.
func (f *finding) named(name string) *series {
	for i := range f.Servers {
		if f.Servers[i].Name == name {
			return &f.Servers[i]
		}
	}
	return nil
}
