// Package clidoc describes a program's command line to those who do not run it:
// as a manual page (man(7)) and as completions for shells. It is given the table
// that the program parses by, so that none of them can say something else.
package clidoc

// Program is a command-line program.
type Program struct {
	Name    string
	Short   string // what it is, in half a sentence, for apropos(1)
	Version string
	Flags   []Flag
	Command Item // a word that may be the first instead of flags; Term "" if there is none
	// Before and After are the sections of the page before and after OPTIONS.
	Before, After []Section
}

// Flag is one flag.
type Flag struct {
	Long, Short string // without dashes; Short may be ""
	Arg         string // what its value is called, "" if it takes none
	Optional    bool   // the value may be left out
	Help        string
	Values      []string // what the value can be, if that is a list
	List        bool     // the value is several of these, with commas between them
	File        bool     // the value is a path
	Sub         []Flag   // words that its value is made of, each explained
}

// Section is a section of a manual page.
type Section struct {
	Title string
	Text  []string // paragraphs; one that begins with a tab is an example
	Items []Item
}

// Item is a term and what it means.
type Item struct{ Term, Text string }
