package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes+1)
	r := bufio.NewReaderSize(strings.NewReader("one\n\n"+long+"\n  two  \nthree"), 4096)
	for _, want := range []struct {
		line    string
		tooLong bool
	}{{"one", false}, {"", false}, {"", true}, {"two", false}} {
		line, tooLong, err := readLine(r)
		if string(line) != want.line || tooLong != want.tooLong || err != nil {
			t.Fatalf("read %q, %v, %v; want %+v", line, tooLong, err, want)
		}
	}
	if line, _, err := readLine(r); string(line) != "three" || !errors.Is(err, io.EOF) {
		t.Errorf("the last line: %q, %v", line, err)
	}
}
